"""judging: facts and limits in, a decision with its reason out; pure but for the arbiter hook."""
