"""vzctl create: the whole configuration is made and checked in memory, then the host makes the container."""

import os

from hostd.command import changes, disk, edge, given, typed_places
from hostd.command.call import Call
from hostd.command.host import CreateOptions
from hostd.command.sample import OF_ONE_CONTAINER
from hostd.config import announce, names, plain
from hostd.config.model import GlobalConfig, effective, places_of
from hostd.config.values import file_name
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, BadValue, Exit, Failure, VzError
from hostd.image import template as templates
from hostd.userdata.plan import Plan

_SETTINGS = (
    "ipadd",
    "hostname",
    "name",
    "description",
    "diskspace",
    "diskinodes",
    "root",
    "private",
    "ostemplate",
    "init",
)
AT_ONCE = frozenset(("SWAPPAGES",))  # what else this host cannot keep the start says in time
LATER = ("local_uid", "local_gid", "distribution", "uuid", "force", "skip_app_templates")


async def run(call: Call) -> int:
    for option in LATER:
        if call.flag(option):
            raise BadValue(f"--{option} is not supported yet")
    globals = call.host.confs.globals()
    keys, data = given.ssh_keys(call), await given.user_data(call)
    conf = _configuration(call, given.with_hostname(call, data), globals)
    plan = (data.plan if data else Plan()).with_keys(keys) if data or keys else None
    config = effective(call.ctid, conf, globals)
    _check_private(config.private)
    if not config.ostemplate:
        raise Failure(
            Exit.VE_OSTEMPLATE_NOTSET,
            "OS template is not specified",
            hint="use --ostemplate or DEF_OSTEMPLATE",
        )
    for line in (*announce.disk_limits(config, disk.KEYS), *call.host.unkept(config, AT_ONCE)):
        call.console.say(line)
    try:
        await call.host.create(call.ctid, CreateOptions(conf, config, plan), call.console.say)
    except VzError as error:
        text, code = edge.report(error)
        raise Failure(code, f"{text}\nCreation of container private area failed") from error
    return Exit.OK


def _check_private(path: str) -> None:
    if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {path}")


def _configuration(call: Call, options: list[tuple[str, str]], globals: GlobalConfig) -> VeConf:
    """The sample, or the file that is there already, then what was given, then where and from what it is
    made.
    """
    asked = changes.read((name, value) for name, value in options if name in _SETTINGS)
    for line in asked.clamped:
        call.console.say(line)
    _check_name(call, asked.texts.get("NAME"))
    layout = _layout(call)
    conf, sample = _base(call, globals)
    texts = dict(asked.texts)
    template = texts.pop("OSTEMPLATE", conf.get("OSTEMPLATE") or globals.ostemplate)
    where = _places(call, texts, conf, globals)
    if template:
        _template_defaults(call, template, conf)
    changes.Changes(texts, asked.settings, asked.add).edit(conf)
    for key, path in where.items():
        conf.set(key, path)
    conf.set("VE_LAYOUT", layout or conf.get("VE_LAYOUT") or globals.layout)
    if template:
        conf.set("OSTEMPLATE", template)
    if sample:
        conf.set("ORIGIN_SAMPLE", sample)
    if "ONBOOT" not in conf:
        conf.set("ONBOOT", "no")  # libvirt cannot live without it
    return conf


def _template_defaults(call: Call, template: str, conf: VeConf) -> None:
    """What NAME.conf beside the tarball says, where *conf* says nothing."""
    found = plain.sizes(templates.defaults(call.host.paths, template))
    for key, value in found.items():
        if key in OF_ONE_CONTAINER:
            raise BadConfig(f"{found.place(key)}: {key} is of one container, no default of a template")
        if key not in conf:
            conf.set(key, value)


def _places(call: Call, texts: dict[str, str], conf: VeConf, globals: GlobalConfig) -> dict[str, str]:
    """VE_ROOT and VE_PRIVATE, taken out of *texts* or else of the files.  Whoever says what cannot be is told so."""
    typed_places.check(call, texts, conf)
    typed = {key: texts.pop(key) for key in ("VE_ROOT", "VE_PRIVATE") if key in texts}
    then = conf.copy()
    for key, text in typed.items():
        then.set(key, text)
    places_of(then, globals, call.ctid)
    said = {"VE_ROOT": conf.get("VE_ROOT") or globals.root, "VE_PRIVATE": conf.get("VE_PRIVATE") or globals.private}
    return said | typed


def _base(call: Call, globals: GlobalConfig) -> tuple[VeConf, str]:
    """(configuration to start from, name of the sample it is)."""
    path = call.host.paths.ct_conf(call.ctid)
    explicit = call.parsed.last("config")
    if os.path.lexists(path):
        if explicit is not None:
            raise Failure(Exit.CP_CONFIG, f"Container config file already exists: {path}")
        conf = VeConf.load(path)
        call.console.say(f"Warning: CT config file {path} already exists and will be used")
        call.console.say("Warning: no sample config is applied")
        return conf, ""
    name = globals.config_file if explicit is None else explicit
    return (_sample(call, name), name) if name or explicit is not None else (VeConf(path), "")


def _sample(call: Call, name: str) -> VeConf:
    path = call.host.paths.sample_conf(name)
    try:
        file_name(name)
        return plain.sizes(VeConf.load(path))
    except (OSError, ValueError) as error:
        raise Failure(Exit.CP_CONFIG, f"Sample config file not found: {path}") from error


def _layout(call: Call) -> str:
    text = call.parsed.last("layout")
    if text is None:
        return ""
    kind = text.partition(":")[0].lower()
    if kind == "ploop":
        raise BadValue("--layout ploop is not supported yet", hint="use overlay or simfs")
    if text not in ("overlay", "simfs"):
        raise BadValue(f"Bad parameter for --layout: {text}", hint="must be overlay or simfs")
    return kind


def _check_name(call: Call, name: str | None) -> None:
    owner = names.lookup(call.host.paths, name) if name else None
    if owner not in (None, call.ctid):
        raise Failure(Exit.SET_NAME, f"Conflict: name {name} already used by container {owner}")
