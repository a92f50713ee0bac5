"""What a generator is compared with, at equal cost and on the same split: see :mod:`.forecasters`."""
