"""The command ``k8s-hub``: one module per verb, imported when the verb is called.

Holds arguments, exit codes and terminal output; other packages do the work.
Test for doubt: does it mention argparse, stderr or a signal?
"""
