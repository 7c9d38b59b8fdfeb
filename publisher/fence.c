#include "publisher/fence.h"

/* A list begins {"v":"EEEEEEEE.PPPP.OOOOOOOOOOOOOOOO.SSSSSSSS" (model/slate.h): 46 bytes, of which
 * the version is the 7th to the 45th. pcall, because an error that is returned keeps its first word
 * (OOM, READONLY) in every release of Redis, and one that is raised does not. Numbers are read 32
 * bits at a time, which a double holds exactly; Lua would compare strings by the server's locale.
 */
const char fence_script[] =
    "local head = redis.pcall('GETRANGE', KEYS[1], 0, 45)\n"
    "if type(head) == 'table' then\n"
    "  if string.find(head.err, 'WRONGTYPE', 1, true) then\n"
    "    return redis.status_reply('" FENCE_FOREIGN "')\n"
    "  end\n"
    "  return head\n"
    "end\n"

    /* An empty string is no absent one. */
    "if head ~= '' or redis.call('EXISTS', KEYS[1]) == 1 then\n"
    "  local old = string.match(head, '^{\"v\":\"([%da-f]+%.[%da-f]+%.[%da-f]+%.[%da-f]+)\"$')\n"
    "  if not old or string.find(old, '.', 1, true) ~= 9\n"
    "      or string.sub(old, 14, 14) ~= '.' or string.sub(old, 31, 31) ~= '.' or #old ~= 39 then\n"
    "    return redis.status_reply('" FENCE_FOREIGN "')\n"
    "  end\n"

    /* Epoch, both halves of the offset, swap: the first that differs decides. Of one epoch the
     * partition must be the same. */
    "  local new = ARGV[3]\n"
    "  for _, at in ipairs({1, 15, 23, 32}) do\n"
    "    local a = tonumber(string.sub(old, at, at + 7), 16)\n"
    "    local b = tonumber(string.sub(new, at, at + 7), 16)\n"
    "    if at > 1 and string.sub(old, 10, 13) ~= string.sub(new, 10, 13) then\n"
    "      return redis.status_reply('" FENCE_PARTITION "')\n"
    "    end\n"
    "    if a > b then return redis.status_reply('" FENCE_OLDER " ' .. old) end\n"
    "    if a < b then break end\n"
    "  end\n"
    "end\n"

    "local set = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "if set.err then return set end\n"
    "return redis.status_reply('" FENCE_STORED "')\n";
