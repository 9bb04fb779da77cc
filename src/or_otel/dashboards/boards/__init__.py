"""The boards, one file each; `all_boards` tells their order."""
