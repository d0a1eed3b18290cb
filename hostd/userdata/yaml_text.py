"""YAML that somebody else wrote: plain maps, lists and texts, of bounded depth.

Every scalar is a text: what `0644`, `no` or `12:30` means, the key says that it stands at.  Aliases, with which a short
file can stand for a huge one, and explicit tags are refused.  The library is imported here, when there is something to
read, and nowhere else (ADR 012).
"""

DEEPEST = 20  # levels


def read(text: str) -> object:
    """What *text* says.  ValueError, with the line."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = 0
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise _refused(event, "aliases are not read")
            if getattr(event, "tag", None):
                raise _refused(event, f"tags are not read: {event.tag}")
            if depth > DEEPEST:
                raise _refused(event, f"more than {DEEPEST} levels deep")
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise ValueError(f"line {line}: {error.reason}") from None


def _refused(event: object, why: str) -> ValueError:
    return ValueError(f"line {event.start_mark.line + 1}: {why}")  # type: ignore[attr-defined]
