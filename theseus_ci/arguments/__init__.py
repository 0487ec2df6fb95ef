"""What each command takes: its help and its options, in a module of the command's name.

Nothing here, nor what it imports, needs more than argparse: `--help` and a mistyped option are
answered before anything of the command itself is loaded.
"""
