"""Layout `simfs`: the private area is the root tree itself, a plain directory of the host's file system."""

from contextlib import ExitStack

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import open_tree
from hostd.storage import trash as waste
from hostd.storage.base import Opened, Record, StorageSpec, map_ids
from hostd.storage.private import being_made, copy_tree, must_exist


class Simfs:
    """Simple and transparent; space and inodes are the host file system's, so no limit of its own."""

    name = "simfs"
    copies_can_be_mapped = True

    def create(self, spec: StorageSpec) -> None:
        if spec.template_tree is None:
            raise Failure(
                Exit.VE_OSTEMPLATE_NOTSET, f"CT {spec.ctid} has no template to make {spec.private} from"
            )
        with being_made(spec.private) as part:
            copy_tree(spec.template_tree, part)

    def open(self, spec: StorageSpec, userns: Fd | None) -> Opened:
        must_exist(spec.private)
        with ExitStack() as stack:
            try:
                root = stack.enter_context(open_tree(spec.private))
                if userns is not None:
                    map_ids(root, userns)
            except OSError as error:
                reason = f"cannot mount {spec.private}: {error.strerror}"
                raise Failure(Exit.FS_CANTMOUNT, reason) from error
            return Opened(root, stack.pop_all(), {})

    def flush(self, root: str) -> None:
        """The disk is everybody's: nothing."""

    def release(self, private: str, record: Record) -> None:
        """Nothing but mounts, and those go by themselves."""

    def destroy(self, private: str, trash: str) -> None:
        waste.discard(private, trash)

    def resize(self, spec: StorageSpec) -> None:
        """Nothing to resize."""

    def template_of(self, paths: Paths, private: str) -> str | None:
        return None

    def other_inodes(self, spec: StorageSpec) -> int | None:
        return None
