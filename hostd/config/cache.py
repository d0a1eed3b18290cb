"""Parsed configuration files, kept as long as the file is the same one (mtime, size, inode).

What it hands out is shared: copy a `VeConf` before editing it, or load the file anew.
"""

import os

from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.errors import NoConfig, NoGlobalConfig

_Stamp = tuple[int, int, int]


class ConfCache:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._files: dict[str, tuple[_Stamp, VeConf]] = {}
        self._globals: tuple[VeConf, GlobalConfig] | None = None
        self._models: dict[int, tuple[VeConf, GlobalConfig, CtConfig]] = {}

    def file(self, path: str) -> VeConf:
        """The configuration file *path*.  Raises OSError and BadConfig."""
        try:
            status = os.stat(path)
        except OSError:
            self._files.pop(path, None)
            raise
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            known = self._files[path] = (stamp, VeConf.load(path))
        return known[1]

    def globals(self) -> GlobalConfig:
        """vz.conf.  Raises NoGlobalConfig and BadConfig."""
        try:
            raw = self.file(self._paths.vz_conf)
        except OSError as error:
            raise NoGlobalConfig(f"Unable to open {self._paths.vz_conf}: {error.strerror}") from error
        if self._globals is None or self._globals[0] is not raw:
            self._globals = (raw, GlobalConfig.from_conf(self._paths, raw))
        return self._globals[1]

    def raw(self, ctid: int) -> VeConf:
        """The file of container *ctid*.  Raises NoConfig and BadConfig."""
        try:
            return self.file(self._paths.ct_conf(ctid))
        except FileNotFoundError as error:
            self._models.pop(ctid, None)
            raise NoConfig("Container config file does not exist") from error
        except OSError as error:
            raise NoConfig(f"Unable to read {error.filename}: {error.strerror}") from error

    def ct(self, ctid: int) -> CtConfig:
        """Container *ctid*, typed.  Raises NoConfig, NoGlobalConfig and BadConfig."""
        raw, globals = self.raw(ctid), self.globals()
        known = self._models.get(ctid)
        if known is None or known[0] is not raw or known[1] is not globals:
            known = self._models[ctid] = (raw, globals, effective(ctid, raw, globals))
        return known[2]
