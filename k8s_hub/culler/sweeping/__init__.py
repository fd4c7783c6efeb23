"""sweeping: one pass over all servers, what holds it back, its pace, and the service that repeats it."""
