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

#define HINT	     "choose another with --root"
#define NODE_DEFAULT "/var/tmp"	/* unlike /tmp it is there after a restart of the host */

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

/* Is path DIR or below it? */
static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

const char *
root_network_fs(const char *path)
{
	const char *pretend = getenv(ROOT_NETWORK_ENV);
	struct statfs fs;

	if (pretend && *pretend && is_below(path, pretend))
		return network_fs[0].name;
	if (statfs(path, &fs) == -1)
		return NULL;
	for (size_t i = 0; i < nitems(network_fs); i++)
		if ((unsigned)fs.f_type == network_fs[i].magic)
			return network_fs[i].name;
	return NULL;
}

/* It lies in what may be anybody's place, such as /var/tmp: it must be ours alone, also before anything is read there. */
static struct err *
own_dir(const char *path, bool create)
{
	struct stat st;

	if (create && mkdir(path, 0700) == -1 && errno != EEXIST)
		return err_errno(errno, "make", "%s", path);
	if (lstat(path, &st) == -1)
		return errno == ENOENT && !create ? NULL : err_errno(errno, "scratch", "%s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_msg(ERR_NOT_ALLOWED, "scratch %s is not a folder of yours alone: choose another with --scratch",
		    path);
	return NULL;
}

/* The root's own folder in a place that roots share: they are told apart by the hash of their paths. */
static struct err *
node_in(const char *place, const char *path, bool create, char **out)
{
	char hex[DIGEST_HEX + 1], *node;
	struct digest d;
	struct err *err;

	sha256_of(path, strlen(path), &d);
	digest_hex(&d, hex);
	node = xasprintf("%s/%.16s", place, hex);
	err = own_dir(node, create);
	if (err)
		free(node);
	else
		*out = node;
	return err;
}

static struct err *
node_in_scratch(const char *path, const char *scratch, bool create, char **out)
{
	const char *fs = root_network_fs(scratch);
	char *place = NULL;
	struct stat st;
	struct err *err;

	if (fs)
		return err_msg(ERR_NOT_SUPPORTED, "scratch %s is on a network file system (%s): choose a local directory with "
		    "--scratch", scratch, fs);
	err = absolute(scratch, &place);
	if (!err && stat(place, &st) == -1)
		err = err_errno(errno, "scratch", "%s", place);
	if (!err)
		err = node_in(place, path, create, out);
	free(place);
	return err;
}

static struct err *
node_by_default(const char *path, const char *fs, bool create, char **out)
{
	const char *here = root_network_fs(NODE_DEFAULT);
	char *place;
	struct err *err;

	if (here)
		return err_msg(ERR_NOT_SUPPORTED, "root %s is on a network file system (%s), and so is " NODE_DEFAULT
		    " (%s): choose a local directory with --scratch", path, fs, here);
	place = xasprintf(NODE_DEFAULT "/weir-%u", (unsigned)geteuid());
	err = own_dir(place, create);
	if (!err)
		err = node_in(place, path, create, out);
	free(place);
	return err;
}

/*
 * Where keeper/ and db/ are. It may be another file system than the root's; a network file system lacks what the node's
 * part needs, and its hosts have a part each.
 */
static struct err *
node_path(const char *path, const char *scratch, bool create, char **out)
{
	const char *fs;

	if (scratch)
		return node_in_scratch(path, scratch, create, out);
	fs = root_network_fs(path);
	if (fs)
		return node_by_default(path, fs, create, out);
	*out = xstrdup(path);
	return NULL;
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
