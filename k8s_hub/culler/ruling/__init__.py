"""ruling: which limits hold for which server, and when; pure but for the file that rules are read from."""
