/* SPDX-License-Identifier: GPL-2.0-or-later
 * For the tests of reconcile/io: a real temporary directory and short ways to fill it.
 * Paths are relative to it; every failure ends the test.
 */
#pragma once
#include "reconcile/base/base.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char tree[64];

static inline const char *in_tree(const char *rel)
{
    static char path[4][512];
    static unsigned turn;
    char *to = path[turn++ % 4];

    snprintf(to, sizeof(path[0]), "%s/%s", tree, rel);
    return to;
}

static inline void put(const char *rel, const char *text)
{
    FILE *file = fopen(in_tree(rel), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void make_dir(const char *rel)
{
    assert_int_equal(mkdir(in_tree(rel), 0755), 0);
}

static inline void make_link(const char *target, const char *rel)
{
    assert_int_equal(symlink(target, in_tree(rel)), 0);
}

static inline int tree_setup(void **state)
{
    (void)state;
    snprintf(tree, sizeof(tree), "/tmp/sluice-io-XXXXXX");
    return mkdtemp(tree) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int tree_teardown(void **state)
{
    (void)state;
    return nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
