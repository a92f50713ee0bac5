"""The stages of the room: parameters and data contracts. What they do is in the modules beside this folder."""
