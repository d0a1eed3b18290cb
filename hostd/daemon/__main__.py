import gc
import os
import sys

# asyncio asks for TLS and takes no for an answer; nobody here speaks it, and libssl costs 1 MiB and 20 ms.
sys.modules["ssl"] = None  # type: ignore[assignment]
# So does hashlib for OpenSSL's digests (0.8 MiB); it has its own, where the interpreter was built with them.
if {"_sha2", "_sha256"} & {*sys.builtin_module_names}:
    sys.modules["_hashlib"] = None  # type: ignore[assignment]

gc.disable()  # what imports make is no garbage: looking for some takes a tenth of them
if "VZ_ANSWER" in os.environ:  # `hostd --answer`: one command line that may need no daemon
    from hostd.command.offline import main
else:
    from hostd.daemon.main import main
gc.freeze()
gc.enable()

main()
os._exit(0)  # to take the interpreter down piece by piece costs 50 ms, and saves nothing
