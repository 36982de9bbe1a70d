/// A Lua script that runs inside Redis, where nothing comes between its commands.
struct RedisScript: Sendable {
  let text: String
  let digest: String

  init(text: String) {
    self.text = text
    digest = Self.digest(of: text)
  }

  /// Finds how many leading blocks each worker holds, by bisection, since workers withdraw descendants before
  /// ancestors. Reads O(workers × log blocks) fields.
  ///
  /// KEYS: what each block's key begins with. ARGV: the hashes in hexadecimal, one after the other; how many expired
  /// fields may be removed; then worker, incarnation and epoch of each holder. Replies with the wrong-typed keys met,
  /// the fields removed, and for each holder its leading blocks in all tiers, in device or host, and in device alone.
  static let longestPrefixes = RedisScript(
    text: """
      local prefix, packed, budget = KEYS[1], ARGV[1], tonumber(ARGV[2])
      local blocks = #packed / 32
      -- A prompt that nobody has seen, which is soon said.
      if blocks == 0 or redis.pcall('HLEN', prefix .. string.sub(packed, 1, 32)) == 0 then
        local reply = {}
        for i = 1, #ARGV do reply[i] = 0 end
        return reply
      end
      local now = tonumber(redis.call('TIME')[1])
      local names, incarnations, epochs = {}, {}, {}
      for i = 3, #ARGV, 3 do
        names[#names + 1] = ARGV[i]
        incarnations[#names] = ARGV[i + 1]
        epochs[#names] = tonumber(ARGV[i + 2])
      end
      local ranks = {d = 1, h = 2, f = 3}
      local wrong, removed, cleaned = 0, 0, 0

      -- Fields of workers that are long gone are met by nobody else.
      local function clean(key)
        if removed >= budget or cleaned >= 4 then return end
        cleaned = cleaned + 1
        if redis.call('HLEN', key) <= #names then return end
        -- A part of a large hash, each second another one: any number is a cursor.
        local fields = redis.call('HSCAN', key, now, 'COUNT', 32)[2]
        for i = 1, #fields, 2 do
          local expiry = tonumber(string.match(fields[i + 1], ':(%d+)$') or '0')
          if expiry < now and removed < budget then
            redis.call('HDEL', key, fields[i])
            removed = removed + 1
          end
        end
      end

      -- The tier's rank of the block for each worker in the set that holds it.
      local function probe(index, set)
        local key = prefix .. string.sub(packed, index * 32 - 31, index * 32)
        local fields, held = {}, {}
        for i, worker in ipairs(set) do fields[i] = names[worker] end
        local values = redis.pcall('HMGET', key, unpack(fields))
        if values.err then
          wrong = wrong + 1
          return held
        end
        for i, worker in ipairs(set) do
          if values[i] then
            local incarnation, tier, epoch, expiry = string.match(values[i], '^(%x+):(%a):(%d+):(%d+)$')
            if incarnation == incarnations[worker] and tonumber(epoch) >= epochs[worker]
              and tonumber(expiry) >= now then
              held[worker] = ranks[tier]
            end
          end
        end
        clean(key)
        return held
      end

      -- For each worker in the set the leading blocks, up to its bound, whose rank is at most `rank`.
      local function bisect(set, bounds, rank, depths, last)
        local ranges = {}
        local function push(low, high, part)
          if #part == 0 then return end
          if low == high then
            for _, worker in ipairs(part) do depths[worker] = low end
          else
            ranges[#ranges + 1] = {low, high, part}
          end
        end
        local byBound = {}
        for _, worker in ipairs(set) do
          local bound = bounds[worker]
          byBound[bound] = byBound[bound] or {}
          table.insert(byBound[bound], worker)
        end
        for bound, part in pairs(byBound) do push(0, bound, part) end
        while #ranges > 0 do
          local range = table.remove(ranges)
          local low, high, part = range[1], range[2], range[3]
          -- Most prompts are either new or known: ask for the first block first.
          local middle = low == 0 and 1 or math.floor((low + high + 1) / 2)
          local held = probe(middle, part)
          local above, below = {}, {}
          for _, worker in ipairs(part) do
            if held[worker] and held[worker] <= rank then
              above[#above + 1] = worker
              last[worker] = held[worker]
            else
              below[#below + 1] = worker
            end
          end
          push(middle, high, above)
          push(low, middle - 1, below)
        end
      end

      local all, bounds, depths, last = {}, {}, {}, {}
      for worker = 1, #names do
        all[worker] = worker
        bounds[worker] = blocks
      end
      bisect(all, bounds, 3, depths, last)
      local near = {[1] = {}, [2] = {}}
      for rank = 2, 1, -1 do
        local set, upper, ignored = {}, {}, {}
        for worker = 1, #names do
          local depth = rank == 2 and (depths[worker] or 0) or near[2][worker]
          near[rank][worker] = depth
          if depth > 0 and last[worker] > rank then
            set[#set + 1] = worker
            upper[worker] = depth
          end
        end
        if #set > 0 then bisect(set, upper, rank, near[rank], ignored) end
      end
      local reply = {wrong, removed}
      for worker = 1, #names do
        reply[#reply + 1] = depths[worker] or 0
        reply[#reply + 1] = near[2][worker]
        reply[#reply + 1] = near[1][worker]
      end
      return reply
      """)

  /// Takes or renews a lease. KEYS: the lease, the roster. ARGV: the worker, its incarnation, the lifetime in
  /// milliseconds, then fields and values. Replies 1 when this incarnation held the lease.
  static let renewLease = RedisScript(
    text: """
      local held = redis.pcall('HGET', KEYS[1], 'incarnation')
      -- A hash is written over and never deleted first: in a slot that moves it could not be made again. What was expired
      -- before is written even while memory is full.
      if type(held) == 'table' and held.err then redis.call('DEL', KEYS[1]) end
      redis.call('PEXPIRE', KEYS[1], ARGV[3])
      redis.call('HSET', KEYS[1], unpack(ARGV, 4))
      redis.call('PEXPIRE', KEYS[1], ARGV[3])
      local kind = redis.call('TYPE', KEYS[2]).ok
      if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEYS[2]) end
      local time = redis.call('TIME')
      local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
      redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
      return held == ARGV[2] and 1 or 0
      """)

  /// Ends a lease. KEYS: the lease, the roster. ARGV: the worker, its incarnation.
  static let withdrawLease = RedisScript(
    text: """
      if redis.pcall('HGET', KEYS[1], 'incarnation') ~= ARGV[2] then return 0 end
      redis.call('DEL', KEYS[1])
      redis.pcall('ZREM', KEYS[2], ARGV[1])
      return 1
      """)

  /// Lists the live leases. KEYS: the roster. ARGV: what each lease's key begins with, how many at most. Replies with
  /// the fields and values of each.
  static let workers = RedisScript(
    text: """
      local kind = redis.call('TYPE', KEYS[1]).ok
      if kind ~= 'zset' then return {} end
      local time = redis.call('TIME')
      local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
      redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))
      local reply = {}
      for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)) do
        local fields = redis.pcall('HGETALL', ARGV[1] .. worker)
        if not fields.err and #fields > 0 then reply[#reply + 1] = fields end
      end
      return reply
      """)
}
