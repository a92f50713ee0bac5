"""Mesh files: read any of them in a guarded child process, write only what a format keeps exactly.

Modules import each other and NumPy, never fieldloom: the child starts in a fifth of a second.
"""
