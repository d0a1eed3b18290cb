"""What the owner of a container wants to find in it: keys to log in with, and what its first boot has to do.

Pure: the texts of files in, a plan of shell items out.  `hostd.container.ops.first_boot` carries it out.
"""
