/* The arms of users, for test_arms.py to hold against the Python of docs/ARMS.md.
 *
 *     arms SALT NAME:SHARE[:control|:shadow]... < users, one a line
 *
 * prints for each user the index of his arm and, after a space, 1 or 0 for each arm: shadowed? */
#include "model/arms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arm_share parse(char *text)
{
    struct arm_share arm = {.name = strtok(text, ":")};
    arm.share = strtod(strtok(NULL, ":"), NULL);
    const char *kind = strtok(NULL, ":");
    arm.control = kind && strcmp(kind, "control") == 0;
    arm.shadow = kind && strcmp(kind, "shadow") == 0;
    return arm;
}

static void print(const struct arms *arms, struct slice user)
{
    printf("%u ", arms_of(arms, user));
    for (uint32_t arm = 0; arm < arms->count; arm++)
        putchar(arms_shadows(arms, arm, user) ? '1' : '0');
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct arm_share shares[ARMS_MAX];
    uint32_t count = 0;
    for (int i = 2; i < argc && count < ARMS_MAX; i++)
        shares[count++] = parse(argv[i]);
    static struct arms arms;
    arms_init(&arms, slice_of(argv[1]), shares, count);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;)
        print(&arms, (struct slice){line, (uint32_t)(length - 1)});
    free(line);
    return 0;
}
