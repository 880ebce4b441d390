/* SPDX-License-Identifier: Apache-2.0 */
#include "store/root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * Opening a root. Everything a user can get wrong about it is met here, before a run begins: each
 * message names the path and what to do. Making the same root twice at once is harmless.
 */

#define HINT "choose another with --root"

static const struct {
	unsigned    magic;
	const char *name;
} network_fs[] = {
	{ 0x00006969, "NFS" }, { 0x0bd00bd0, "Lustre" }, { 0x47504653, "GPFS" }, { 0x19830326, "BeeGFS" },
	{ 0x00c36400, "Ceph" }, { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" }, { 0x0000517b, "SMB" },
	{ 0x5346414f, "AFS" }, { 0xaad7aaea, "PanFS" },
};

static struct err *
default_path(char **out)
{
	const char *v;

	if ((v = getenv("WEIR_ROOT")) && *v)
		*out = xstrdup(v);
	else if ((v = getenv("XDG_DATA_HOME")) && *v == '/')
		*out = xasprintf("%s/weir", v);
	else if ((v = getenv("HOME")) && *v == '/')
		*out = xasprintf("%s/.local/share/weir", v);
	else
		return err_msg(ERR_INVALID, "neither WEIR_ROOT nor HOME is set: say where the root is with --root");
	return NULL;
}

static struct err *
absolute(const char *path, char **out)
{
	char cwd[PATH_MAX];

	if (*path == '\0')
		return err_msg(ERR_INVALID, "the path of the root is empty: " HINT);
	if (*path == '/') {
		*out = xstrdup(path);
		return NULL;
	}
	if (!getcwd(cwd, sizeof cwd))
		return err_errno(errno, "working directory", NULL);
	*out = xasprintf("%s/%s", cwd, path);
	return NULL;
}

static struct err *
cannot_make(const char *path, int eno)
{
	struct err *err = err_errno(eno, "make", "%s", path);
	char *msg = xasprintf("%s: " HINT, err->msg);

	free(err->msg);
	err->msg = msg;
	return err;
}

static struct err *
make_dir(const char *path)
{
	return mkdir(path, 0700) == -1 && errno != EEXIST ? cannot_make(path, errno) : NULL;
}

/* The last part 0700, those above as the umask says. */
static struct err *
make_path(const char *path)
{
	char *part = xstrdup(path);
	struct err *err = NULL;

	for (char *p = part + 1; !err && (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(part, 0777) == -1 && errno != EEXIST && access(part, F_OK) == -1)
			err = cannot_make(part, errno);
		*p = '/';
	}
	free(part);
	return err ? err : make_dir(path);
}

static struct err *
check_dir(const char *path, bool create)
{
	struct stat st;

	if (stat(path, &st) == -1 && errno == ENOENT)
		return err_msg(ERR_NOT_EXIST, "there is no root at %s: nothing has run there yet, or " HINT, path);
	if (stat(path, &st) == -1)
		return err_errno(errno, "root", "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_msg(ERR_INVALID, "root %s is not a directory: " HINT, path);
	if (st.st_uid != geteuid())
		return err_msg(ERR_NOT_ALLOWED, "root %s belongs to uid %u, not to you (uid %u): " HINT, path,
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if (create && access(path, W_OK | X_OK) == -1)
		return err_msg(ERR_NOT_ALLOWED, "root %s cannot be written: %s: " HINT, path, strerror(errno));
	return NULL;
}

static const char *
network_name(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) == -1)
		return NULL;
	for (size_t i = 0; i < nitems(network_fs); i++)
		if ((unsigned)fs.f_type == network_fs[i].magic)
			return network_fs[i].name;
	return NULL;
}

/* The scratch may be anybody's place, such as /var/tmp: the folder in it must be ours alone. */
static struct err *
make_node(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return err_errno(errno, "make", "%s", path);
	if (lstat(path, &st) == -1)
		return err_errno(errno, "scratch", "%s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_msg(ERR_NOT_ALLOWED, "scratch %s is not a folder of yours alone: choose another with --scratch",
		    path);
	return NULL;
}

/*
 * Where keeper/ and db/ are. Roots that share a scratch directory are told apart by the hash of their paths. It may be
 * on another file system than the root; network file systems lack what the node's part needs.
 */
static struct err *
node_path(const char *path, const char *scratch, bool create, char **out)
{
	char hex[DIGEST_HEX + 1], *abs = NULL;
	const char *fs = network_name(scratch ? scratch : path);
	struct digest d;
	struct stat st;
	struct err *err;

	if (fs)
		return err_msg(ERR_NOT_SUPPORTED, "%s %s is on a network file system (%s): choose a local directory with --scratch",
		    scratch ? "scratch" : "root", scratch ? scratch : path, fs);
	if (!scratch) {
		*out = xstrdup(path);
		return NULL;
	}
	err = absolute(scratch, &abs);
	if (!err && stat(abs, &st) == -1)
		err = err_errno(errno, "scratch", "%s", abs);
	if (!err) {
		sha256_of(path, strlen(path), &d);
		digest_hex(&d, hex);
		*out = xasprintf("%s/%.16s", abs, hex);
		if (create && (err = make_node(*out))) {
			free(*out);
			*out = NULL;
		}
	}
	free(abs);
	return err;
}

static struct err *
make_inside(const struct root *r)
{
	char *certs = xasprintf("%s/certs", r->path), *tmp = xasprintf("%s/tmp", r->objects);
	const char *const dirs[] = { r->journal, r->objects, tmp, certs, r->keeper, r->execs, r->db };
	struct err *err = NULL;

	for (size_t i = 0; i < nitems(dirs) && !err; i++)
		err = make_dir(dirs[i]);
	free(certs);
	free(tmp);
	return err;
}

static struct err *
canonical(char **path)
{
	char *real = realpath(*path, NULL);

	if (!real)
		return err_errno(errno, "root", "%s", *path);
	free(*path);
	*path = real;
	return NULL;
}

struct err *
root_open(const char *path, const char *scratch, bool create, struct root *out)
{
	struct root r = { NULL };
	char *wanted = NULL;
	struct err *err = NULL;

	if (path)
		wanted = xstrdup(path);
	else
		err = default_path(&wanted);
	if (!err)
		err = absolute(wanted, &r.path);
	if (!err && create && access(r.path, F_OK) == -1)
		err = make_path(r.path);
	if (!err)
		err = check_dir(r.path, create);
	if (!err)
		err = canonical(&r.path);
	if (!err)
		err = node_path(r.path, scratch, create, &r.node);
	if (!err) {
		r.journal = xasprintf("%s/journal", r.path);
		r.objects = xasprintf("%s/objects", r.path);
		r.keeper = xasprintf("%s/keeper", r.node);
		r.execs = xasprintf("%s/execs", r.keeper);
		r.db = xasprintf("%s/db", r.node);
		if (create)
			err = make_inside(&r);
	}
	free(wanted);
	if (err)
		root_release(&r);
	else
		*out = r;
	return err;
}

void
root_release(struct root *r)
{
	free(r->path);
	free(r->journal);
	free(r->objects);
	free(r->node);
	free(r->keeper);
	free(r->execs);
	free(r->db);
	*r = (struct root){ NULL };
}

void
object_path(const char *objects, const struct digest *d, char *out, size_t size)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	snprintf(out, size, "%s/%.2s/%s", objects, hex, hex + 2);
}

char *
attempt_path(const char *execs, const struct digest *key, unsigned n)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(key, hex);
	return n ? xasprintf("%s/%s/%u", execs, hex, n) : xasprintf("%s/%s", execs, hex);
}
