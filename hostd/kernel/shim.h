/* What Python sees of the shim.  This file is both a C header and the cdef of cffi: plain declarations only.
 *
 * Every function answers -errno on failure, unless said otherwise. */

/* The steps of a spawn, in order; hostd.kernel.spawn.STEPS names them for the user. */
enum vz_step {
    VZ_STEP_NONE,
    VZ_STEP_STACK, VZ_STEP_GATE, VZ_STEP_CLONE, VZ_STEP_UID_MAP, VZ_STEP_GID_MAP,  /* in the parent */
    VZ_STEP_JOIN, VZ_STEP_CGROUP_NS, VZ_STEP_TIME_NS, VZ_STEP_CLOCKS,
    VZ_STEP_WAIT, VZ_STEP_SETGID, VZ_STEP_SETUID, VZ_STEP_SETGROUPS,
    VZ_STEP_PRIVATE, VZ_STEP_ROOT, VZ_STEP_CHDIR,
    VZ_STEP_TARGET, VZ_STEP_ATTACH, VZ_STEP_FSOPEN, VZ_STEP_FSCONFIG, VZ_STEP_CREATE, VZ_STEP_FSMOUNT,
    VZ_STEP_BIND, VZ_STEP_SETATTR, VZ_STEP_LET_GO,
    VZ_STEP_PIVOT, VZ_STEP_DETACH, VZ_STEP_HOSTNAME, VZ_STEP_SETSID, VZ_STEP_KEYRING, VZ_STEP_NULL,
    VZ_STEP_MOVE_FD, VZ_STEP_PLACE_FD, VZ_STEP_CLOSE, VZ_STEP_BOUNDING, VZ_STEP_SECCOMP, VZ_STEP_CAPS,
    VZ_STEP_EXEC
};

/* One mount of the child, below the container's root; symbolic links in the target are refused.
 * fd >= 0: attach this detached mount, or only `file` of it.  fstype: make a new file system.  Neither: rebind what is
 * there. */
struct vz_mount {
    int fd;
    const char *fstype;
    const char **options;           /* key, value, key, value, ..., NULL; a value may be NULL (flag) */
    const char *target, *file;
    const char *kept;               /* where what it covers is from now on, or NULL */
    uint64_t set, clear;            /* MOUNT_ATTR_* */
    int optional;                   /* a missing target is no failure */
};

struct vz_fd { int from, to; };

struct vz_plan {
    uint64_t flags;                 /* CLONE_NEW*, CLONE_PARENT */
    int root;                       /* detached mount: becomes "/" */
    int into;                       /* cgroup v2 directory, or -1 */
    int *join; int join_count;      /* opened v1 "tasks" files */
    uint32_t uid_base, id_count;    /* used with CLONE_NEWUSER */
    const char *clocks;             /* for timens_offsets of a new time namespace; NULL = no such */
    struct vz_mount *mounts; int mount_count;
    const char *hostname;
    struct vz_fd *fds; int fd_count;  /* sorted by "to"; .from is overwritten by the child */
    int *drop; int drop_count;      /* capabilities to lose */
    const void *filter; int filter_length;  /* sock_filter array, in instructions; 0 = none */
    char **argv, **env;
    /* results */
    int pidfd;
    int step, index, error;         /* enum vz_step, which one of its list, errno */
    int alive;                      /* zeroed by the kernel when the child has left our memory */
    int gate, gate_writer;          /* the ends of the pipe that the child waits at */
};

int vz_spawn(struct vz_plan *plan);  /* pid, or -1 and the step, index and error of the plan */
int vz_start(struct vz_plan *plan);  /* the same, with nothing but into, join, fds, argv and env */

int vz_new_userns(uint32_t base, uint32_t count, int *step);
int vz_socket_in_netns(int netns, int family, int type, int protocol);
int vz_write_in_ipcns(int ipcns, uint32_t root, const char *path, const char *text, unsigned int length);
int vz_into_cgroup(int cgroup);      /* can a child be born in this v2 cgroup? */

int vz_open_tree(int dir, const char *path, unsigned int flags);
int vz_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags);
int vz_fsopen(const char *fstype);
int vz_fsconfig(int fs, unsigned int command, const char *key, const char *value, int aux);
int vz_fsmount(int fs, unsigned int attributes);
int vz_fspick(int mount);
int vz_mount_setattr(int mount, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation,
                     int userns);
int vz_umount(const char *target, int flags);
int vz_is_mount_root(const char *path);  /* 1 or 0 */
int64_t vz_fs_magic(int fd);         /* f_type of statfs(2) */
int vz_syncfs(int fd);
int vz_pivot_root(const char *new_root, const char *put_old);
int vz_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int vz_unshare(int flags);
int vz_setns(int fd, int flags);
int vz_fsids(uint32_t uid, uint32_t gid);
int vz_bpf_load(int type, int hook, int function, const char *name, const void *code, int length, char *log,
                int log_size);          /* function: its number in BTF, or 0 */
int vz_bpf_attach(int cgroup, int program, int hook, int replaced);  /* replaced: another's descriptor, or -1 */
int vz_bpf_detach(int cgroup, int program, int hook);
int vz_bpf_programs(int cgroup, int hook, uint32_t *ids, int most);  /* how many there are */
int vz_bpf_program(uint32_t id);     /* a descriptor */
int vz_bpf_map(uint32_t id);         /* a descriptor */
int vz_bpf_program_info(int program, char *name, uint32_t *maps, int most);  /* name: of 16; how many maps it has */
int vz_bpf_map_info(int map, char *name);                 /* the same */
int vz_bpf_load_types(const void *types, int size);       /* BTF; a descriptor */
int vz_bpf_new_array(const char *name, int size);         /* of one value */
int vz_bpf_new_storage(const char *name, int size, int types, int key, int value);  /* a value at each socket */
int vz_bpf_read(int map, void *value);                    /* of an array of one */
int vz_bpf_write(int map, const void *value);
int vz_bpf_link(int program, int hook);  /* a descriptor; the program runs as long as it is open */

/* A type of the kernel: kind and name say which; or, of a kind, the first with such a member.  NULL or 0: any.
 * With a member, or of_type, the type of one: the answer has where it is, in bytes, or the value of an enumerator. */
struct vz_btf_want {
    int kind;
    const char *name, *member;
    int of_type;
    int id, value;                  /* the answer */
};
enum { VZ_BTF_WANTS = 16 };
int vz_btf_find(int fd, struct vz_btf_want *wants, int count);  /* ENOENT: not all were found */

void vz_one_arena(void);
int vz_seccomp_probe(void);
int vz_close_range(unsigned int first, unsigned int last);
int vz_pidfd_getfd(int pidfd, int number);
int vz_ask_socket(int pidfd, int number, int level);
int vz_open_by_handle(int mount, int type, const void *handle, unsigned int length);
