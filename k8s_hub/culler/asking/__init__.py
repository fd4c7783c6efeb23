"""asking: what servers themselves say of their kernels and terminals; who is asked, where, with which token."""
