"""Paddle components that know no track and no file format of a contest.

Importing this package imports nothing else: take what you need from its modules.
"""

__version__ = "0.1.0"
