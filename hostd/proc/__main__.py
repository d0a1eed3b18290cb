import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from hostd.proc.main import main

main(*sys.argv[1:])
