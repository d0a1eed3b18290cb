/* What PID 1 needs and no module of the interpreter offers. */

#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <errno.h>
#include <linux/reboot.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static PyObject *vz_reboot(PyObject *module, PyObject *argument)
{
    unsigned long command = PyLong_AsUnsignedLong(argument);

    (void)module;
    if (PyErr_Occurred())
        return NULL;
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, (unsigned int)command, 0);
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* As much as may be had, as systemd does it: nobody in a container raises what it was given. */
static int limit(int resource, struct rlimit wanted)
{
    struct rlimit most;

    if (setrlimit(resource, &wanted) == 0)
        return 0;
    if (errno != EPERM || getrlimit(resource, &most) < 0)
        return -1;
    if (wanted.rlim_max > most.rlim_max)
        wanted.rlim_max = most.rlim_max;
    if (wanted.rlim_cur > wanted.rlim_max)
        wanted.rlim_cur = wanted.rlim_max;
    return setrlimit(resource, &wanted);
}

static PyObject *vz_setrlimit(PyObject *module, PyObject *arguments)
{
    int resource;
    long long soft, hard;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "iLL", &resource, &soft, &hard))
        return NULL;
    if (limit(resource, (struct rlimit){(rlim_t)soft, (rlim_t)hard}) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"reboot", vz_reboot, METH_O, NULL},
    {"setrlimit", vz_setrlimit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_sys", .m_size = 0, .m_methods = functions,
};

PyMODINIT_FUNC PyInit__sys(void)
{
    return PyModuleDef_Init(&definition);
}
