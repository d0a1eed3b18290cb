/* bpf(2), a function for each thing that is asked of it; -errno on failure. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim.h"

static int bpf(int command, union bpf_attr *attributes)
{
    long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
    return result < 0 ? -errno : (int)result;
}

/* With a function of the kernel's to run at.  The helpers that such a program calls are lent under the GPL alone. */
int vz_bpf_load(int type, int hook, int function, const char *name, const void *code, int length, char *log,
                int log_size)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = type;
    attributes.expected_attach_type = hook;
    attributes.attach_btf_id = function;
    attributes.insns = (uintptr_t)code;
    attributes.insn_cnt = length;
    attributes.license = (uintptr_t)(function > 0 ? "GPL" : "Apache-2.0");
    attributes.log_buf = (uintptr_t)log;
    attributes.log_size = log_size;
    attributes.log_level = log_size > 0;
    strncpy(attributes.prog_name, name, sizeof attributes.prog_name - 1);
    return bpf(BPF_PROG_LOAD, &attributes);
}

int vz_bpf_link(int program, int hook)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.link_create.prog_fd = program;
    attributes.link_create.attach_type = hook;
    return bpf(BPF_LINK_CREATE, &attributes);
}

int vz_bpf_attach(int cgroup, int program, int hook, int replaced)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = cgroup;
    attributes.attach_bpf_fd = program;
    attributes.attach_type = hook;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attributes.attach_flags |= BPF_F_REPLACE;
        attributes.replace_bpf_fd = replaced;
    }
    return bpf(BPF_PROG_ATTACH, &attributes);
}

int vz_bpf_detach(int cgroup, int program, int hook)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = cgroup;
    attributes.attach_bpf_fd = program;
    attributes.attach_type = hook;
    return bpf(BPF_PROG_DETACH, &attributes);
}

int vz_bpf_programs(int cgroup, int hook, uint32_t *ids, int most)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = cgroup;
    attributes.query.attach_type = hook;
    attributes.query.prog_ids = (uintptr_t)ids;
    attributes.query.prog_cnt = most;
    int result = bpf(BPF_PROG_QUERY, &attributes);
    return result < 0 ? result : (int)attributes.query.prog_cnt;
}

static int by_id(int command, uint32_t id)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = id;
    return bpf(command, &attributes);
}

int vz_bpf_program(uint32_t id)
{
    return by_id(BPF_PROG_GET_FD_BY_ID, id);
}

int vz_bpf_map(uint32_t id)
{
    return by_id(BPF_MAP_GET_FD_BY_ID, id);
}

static int describe(int object, void *info, uint32_t size)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.info.bpf_fd = object;
    attributes.info.info = (uintptr_t)info;
    attributes.info.info_len = size;
    return bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes);
}

int vz_bpf_program_info(int program, char *name, uint32_t *maps, int most)
{
    struct bpf_prog_info info;
    memset(&info, 0, sizeof info);
    info.map_ids = (uintptr_t)maps;
    info.nr_map_ids = most;
    int result = describe(program, &info, sizeof info);
    memcpy(name, info.name, sizeof info.name);
    return result < 0 ? result : (int)info.nr_map_ids;
}

int vz_bpf_map_info(int map, char *name)
{
    struct bpf_map_info info;
    memset(&info, 0, sizeof info);
    int result = describe(map, &info, sizeof info);
    memcpy(name, info.name, sizeof info.name);
    return result;
}

int vz_bpf_load_types(const void *types, int size)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.btf = (uintptr_t)types;
    attributes.btf_size = size;
    return bpf(BPF_BTF_LOAD, &attributes);
}

int vz_bpf_new_array(const char *name, int size)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = sizeof(uint32_t);
    attributes.value_size = size;
    attributes.max_entries = 1;
    strncpy(attributes.map_name, name, sizeof attributes.map_name - 1);
    return bpf(BPF_MAP_CREATE, &attributes);
}

int vz_bpf_new_storage(const char *name, int size, int types, int key, int value)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_SK_STORAGE;
    attributes.key_size = sizeof(uint32_t);
    attributes.value_size = size;
    attributes.map_flags = BPF_F_NO_PREALLOC;
    attributes.btf_fd = types;
    attributes.btf_key_type_id = key;
    attributes.btf_value_type_id = value;
    strncpy(attributes.map_name, name, sizeof attributes.map_name - 1);
    return bpf(BPF_MAP_CREATE, &attributes);
}

static int element(int command, int map, const void *value)
{
    uint32_t key = 0;
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_fd = map;
    attributes.key = (uintptr_t)&key;
    attributes.value = (uintptr_t)value;
    return bpf(command, &attributes);
}

int vz_bpf_read(int map, void *value)
{
    return element(BPF_MAP_LOOKUP_ELEM, map, value);
}

int vz_bpf_write(int map, const void *value)
{
    return element(BPF_MAP_UPDATE_ELEM, map, value);
}
