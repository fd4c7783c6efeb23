"""What each check of the doctor finds, decided from what was read: pure."""
