/* A Python program in one file: the interpreter, the modules as byte code, nothing to look for and nothing to read.

   `images.embed` writes tables.h (the modules, the C modules, the programs) and links this with libpython, statically.
   The tables take the place of the interpreter's own, in the way of CPython's Programs/_bootstrap_python.c: what
   is not named there is not in the program. */

#include <Python.h>
#include <signal.h>
#include <string.h>

struct _module_alias {
    const char *name;
    const char *original;
};

#include "tables.h"

static const struct _frozen no_modules[] = {{0}};
static const struct _module_alias no_aliases[] = {{0}};

const struct _frozen *_PyImport_FrozenBootstrap = importers;
const struct _frozen *_PyImport_FrozenStdlib = no_modules;
const struct _frozen *_PyImport_FrozenTest = no_modules;
const struct _frozen *PyImport_FrozenModules = modules;
const struct _module_alias *_PyImport_FrozenAliases = no_aliases;
struct _inittab _PyImport_Inittab[] = {BUILTINS{0}};

/* 3.11 and 3.12 prepare the modules that the interpreter was delivered with; here there are none. */
int _Py_Deepfreeze_Init(void);
void _Py_Deepfreeze_Fini(void);

int _Py_Deepfreeze_Init(void)
{
    return 0;
}

void _Py_Deepfreeze_Fini(void)
{
}

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static void set(PyConfig *config, wchar_t **field, const wchar_t *text)
{
    check(PyConfig_SetString(config, field, text));
}

/* A place that cannot be made: the interpreter looks around its own place for a pyvenv.cfg, whatever it is told. */
#define NOWHERE L"/proc/nowhere/python"

static void configure(PyConfig *config, int argc, char **argv)
{
    PyConfig_InitIsolatedConfig(config);
    config->site_import = 0;
    config->install_signal_handlers = 1;
    config->optimization_level = 2;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1;
    set(config, &config->program_name, NOWHERE);
    set(config, &config->executable, NOWHERE);
    set(config, &config->base_executable, NOWHERE);
    set(config, &config->prefix, NOWHERE);
    set(config, &config->base_prefix, NOWHERE);
    set(config, &config->exec_prefix, NOWHERE);
    set(config, &config->base_exec_prefix, NOWHERE);
    set(config, &config->stdlib_dir, NOWHERE);
    check(PyConfig_SetBytesArgv(config, argc, argv));
}

static void start_interpreter(int argc, char **argv)
{
    PyPreConfig before;
    PyConfig config;

    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    before.configure_locale = 0;
    check(Py_PreInitialize(&before));
    configure(&config, argc, argv);
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    PyGC_Disable(); /* nothing to find while modules are loaded; who lives long enables it */
}

/* The program that the first argument names, or else the first of the table. */
static const char *chosen(int argc, char **argv)
{
    for (size_t i = 1; i < sizeof programs / sizeof *programs; i++)
        if (argc > 1 && strcmp(argv[1], programs[i].argument) == 0)
            return programs[i].module;
    return programs[0].module;
}

int main(int argc, char **argv)
{
    start_interpreter(argc, argv);
    if (PyImport_ImportFrozenModule(chosen(argc, argv)) > 0)
        return Py_FinalizeEx() < 0 ? 120 : 0;
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    PyErr_Print(); /* leaves when it is SystemExit */
    return 1;
}
