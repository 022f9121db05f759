"""Titles of abstracts (kexue.fm article 7259): the auxiliary task that writes in words of its own."""
