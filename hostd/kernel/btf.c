/* What the kernel says of its own types: a scan of /sys/kernel/btf/vmlinux, some 6 MB, of which little is held at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/btf.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "shim.h"

enum { WINDOW = 1 << 16, NAME = 64 };

/* A part of the file; the next is read when it is left. */
struct window {
    int fd;
    off_t begin, end;
    char bytes[WINDOW];
};

/* *size* bytes from *at* on, or NULL at the end of the file and where it cannot be read. */
static const void *bytes_at(struct window *window, off_t at, size_t size)
{
    if (at < window->begin || at + (off_t)size > window->end) {
        window->begin = window->end = at;
        for (ssize_t got = 1; got > 0; window->end += got > 0 ? got : 0)  /* sysfs gives a page at a time */
            got = pread(window->fd, window->bytes + (window->end - at), WINDOW - (window->end - at), window->end);
        if (window->end - at < (off_t)size)
            return NULL;
    }
    return window->bytes + (at - window->begin);
}

/* Where *name* is among the strings; 0: nowhere.  No string is the end of another. */
static uint32_t find_name(struct window *window, off_t strings, uint32_t length, const char *name)
{
    size_t size = strlen(name) + 2;
    char wanted[NAME] = "";
    if (size > sizeof wanted)
        return 0;
    memcpy(wanted + 1, name, size - 1);
    for (uint32_t at = 0; at + size <= length;) {
        uint32_t part = length - at < WINDOW ? length - at : WINDOW;
        const char *bytes = bytes_at(window, strings + at, part);
        if (bytes == NULL)
            return 0;
        const char *found = memmem(bytes, part, wanted, size);
        if (found != NULL)
            return at + (found - bytes) + 1;
        at += part - (uint32_t)size + 1;
    }
    return 0;
}

/* Bytes behind a type, by its kind. */
static size_t behind(uint32_t kind, uint32_t count)
{
    switch (kind) {
    case BTF_KIND_INT: case BTF_KIND_VAR: case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ARRAY: return 12;
    case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_DATASEC: case BTF_KIND_ENUM64: return 12 * count;
    case BTF_KIND_ENUM: case BTF_KIND_FUNC_PROTO: return 8 * count;
    default: return 0;
    }
}

/* The member that is asked for, in the records of *type*; true when it was found. */
static int has_member(const struct btf_type *type, struct vz_btf_want *want, uint32_t member)
{
    uint32_t count = BTF_INFO_VLEN(type->info);
    if (BTF_INFO_KIND(type->info) == BTF_KIND_ENUM) {
        const struct btf_enum *values = (const void *)(type + 1);
        for (uint32_t n = 0; n < count; n++)
            if (values[n].name_off == member) {
                want->value = values[n].val;
                return 1;
            }
        return 0;
    }
    const struct btf_member *members = (const void *)(type + 1);
    for (uint32_t n = 0; n < count; n++)
        if (want->of_type > 0 ? members[n].type == (uint32_t)want->of_type : members[n].name_off == member) {
            uint32_t bits = members[n].offset;
            want->value = (BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(bits) : bits) / 8;
            return 1;
        }
    return 0;
}

int vz_btf_find(int fd, struct vz_btf_want *wants, int count)
{
    struct { uint32_t name, member; } at[VZ_BTF_WANTS];
    struct window window = { .fd = fd };
    int missing = count;

    if (count > VZ_BTF_WANTS)
        return -E2BIG;
    const struct btf_header *there = bytes_at(&window, 0, sizeof *there);
    if (there == NULL || there->magic != BTF_MAGIC)
        return -EINVAL;
    struct btf_header header = *there;
    off_t types = header.hdr_len + header.type_off, strings = header.hdr_len + header.str_off;
    for (int n = 0; n < count; n++) {
        wants[n].id = 0;
        at[n].name = wants[n].name != NULL ? find_name(&window, strings, header.str_len, wants[n].name) : 0;
        at[n].member = wants[n].member != NULL ? find_name(&window, strings, header.str_len, wants[n].member) : 0;
        if ((wants[n].name != NULL && at[n].name == 0) || (wants[n].member != NULL && at[n].member == 0))
            return -ENOENT;
    }
    int id = 1;
    for (off_t place = types; place < types + header.type_len && missing > 0; id++) {
        const struct btf_type *type = bytes_at(&window, place, sizeof *type);
        if (type == NULL)
            return -EINVAL;
        uint32_t kind = BTF_INFO_KIND(type->info);
        size_t size = sizeof *type + behind(kind, BTF_INFO_VLEN(type->info));
        for (int n = 0; n < count; n++) {
            struct vz_btf_want *want = &wants[n];
            if (want->id != 0 || (uint32_t)want->kind != kind || (want->name != NULL && at[n].name != type->name_off))
                continue;
            type = bytes_at(&window, place, size);
            if (type == NULL)
                return -EINVAL;
            if ((want->member == NULL && want->of_type == 0) || has_member(type, want, at[n].member)) {
                want->id = id;
                missing--;
            }
        }
        place += size;
    }
    return missing == 0 ? 0 : -ENOENT;
}
