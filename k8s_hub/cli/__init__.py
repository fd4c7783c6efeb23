"""The command ``k8s-hub``: one module per verb, imported when the verb is called.

Here live arguments, exit codes and what a terminal sees; the work is done in the other packages.
Test for doubt: does it mention argparse, stderr or a signal?
"""
