"""What the culler decides, and on what: values and functions of them, without I/O, clock or framework."""
