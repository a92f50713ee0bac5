"""The loops that everything else is made of, in Numba for the CPU and in torch for training and GPUs.

Inside the solver a field of a grid carries a rim of one zero cell on each side, so that a kernel reads neighbours
without asking where the grid ends. ``faces[k][i, j, l]`` is the conductance of the face below cell ``(i, j, l)``
along axis ``k``; a closed face has conductance zero, and a Dirichlet side is an open face towards the rim.
"""
