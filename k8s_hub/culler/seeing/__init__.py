"""seeing: metrics, health and the log of decisions, for those who want to know what the culler does."""
