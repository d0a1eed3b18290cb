"""Is the set of beancounters of a configuration complete?  OpenVZ starts no container without.

    none, or only NUMPROC           no limits, or only that one: fine
    SWAPPAGES                       VSwap: the other parameters follow from it and PHYSPAGES
    PHYSPAGES, limited and alone    half of VSwap: SWAPPAGES is missing
    anything else                   the classic set, of which every one is needed, whatever PHYSPAGES says
"""

from hostd.config.model import CtConfig, GlobalConfig
from hostd.config.settings import BEANCOUNTERS
from hostd.errors import Exit, Failure

VSWAP = "SWAPPAGES"
CLASSIC = tuple(name.upper() for name in BEANCOUNTERS if name.upper() != VSWAP)


def check(config: CtConfig, globals: GlobalConfig) -> None:
    """Raises Failure(28) that names the parameters that are missing."""
    found = {key for key in (*CLASSIC, VSWAP) if config.raw.get(key) or globals.raw.get(key)}
    missing = [key for key in CLASSIC if key not in found]
    if VSWAP in found or not missing or found <= {"NUMPROC"}:
        return
    if found <= {"NUMPROC", "PHYSPAGES"} and config.ram is not None:
        text = f"{config.raw.origin}: {VSWAP} is missing beside PHYSPAGES"
        raise Failure(Exit.NOTENOUGHUBCPARAMS, text, hint="set --swap")
    text = f"{config.raw.origin}: UBC parameters are missing: {' '.join(missing)}"
    raise Failure(Exit.NOTENOUGHUBCPARAMS, text, hint="set them, or only PHYSPAGES and SWAPPAGES")
