import sys

# asyncio asks for TLS and takes no for an answer; nobody here speaks it, and libssl costs 1 MiB and 20 ms.
sys.modules["ssl"] = None  # type: ignore[assignment]

from hostd.daemon.main import main  # noqa: E402

main()
