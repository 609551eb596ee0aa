-- Wireshark reads the chat: all five stages, decrypted where it has the keys.
--
-- Wireshark 3.6 to 4.6, so Lua 5.2 to 5.4; nothing else is needed. Copy this file into the folder
-- of personal Lua plugins (Help, About Wireshark, Folders), or name it for one run:
--
--     tshark -X lua_script:docs/wireshark/chat5.lua -o chat5.keylog:keys.log -r chat.pcapng
--
-- What it takes apart is specified in docs/protocol.md. Keys come from a key log (the preference
-- chat5.keylog) or from comments of packets, which may hold the same lines. `chat5.status` says
-- what became of each frame. With CHAT5_SELFTEST=1 in the environment, or the preference
-- chat5.selftest, it checks its own cryptography against published vectors and prints the results.
--
-- Lua has no cryptography, and Wireshark offers it some only from 4.6 on. So AES, GCM and SHA-256
-- are written out below. They are here to be read and to decrypt captures; their running time
-- depends on the key, so nothing else should use them.

local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local concat, floor = table.concat, math.floor

---------------------------------------------------------------------------------------------------
-- Bits. Lua 5.2 has functions for them. From 5.3 on there are operators instead, which 5.2 cannot
-- even parse, so they are in strings here.

local xor, band, rshift, rrotate

if bit32 then
    xor, band, rshift, rrotate = bit32.bxor, bit32.band, bit32.rshift, bit32.rrotate
else
    local function operator(body)
        return assert(load("return function(" .. body .. " end"))()
    end
    local names, operands = {}, {}
    for i = 1, 16 do
        names[i], operands[i] = "a" .. i, "(a" .. i .. " or 0)"
    end
    local any = operator(concat(names, ",") .. ") return " .. concat(operands, " ~ "))
    local five = operator("a, b, c, d, e) return a ~ b ~ c ~ d ~ e")
    local two = operator("a, b) return a ~ b")
    xor = function(a, b, c, d, e, f, ...)
        if not c then
            return two(a, b)
        elseif e and not f then
            return five(a, b, c, d, e)
        end
        return any(a, b, c, d, e, f, ...)
    end
    band = operator("a, b) return a & b")
    rshift = operator("a, n) return a >> n")
    rrotate = operator("a, n) return ((a >> n) | (a << (32 - n))) & 0xffffffff")
end

local function to_hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(byte(c)) end))
end

local function from_hex(hex)
    return (hex:gsub("%x%x", function(digits) return char(tonumber(digits, 16)) end))
end

-- Four bytes as a big-endian number, and back.
local function word(a, b, c, d)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function word_bytes(w)
    local d = w % 256
    local cd = w % 65536
    local bcd = w % 16777216
    return (w - bcd) / 16777216, (bcd - cd) / 65536, (cd - d) / 256, d
end

local function words_string(w1, w2, w3, w4)
    local a, b, c, d = word_bytes(w1)
    local e, f, g, h = word_bytes(w2)
    local i, j, k, l = word_bytes(w3)
    return char(a, b, c, d, e, f, g, h, i, j, k, l, word_bytes(w4))
end

-- The 16 bytes of a string from `at` on, as four words.
local function four_words(s, at)
    local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p = byte(s, at, at + 15)
    return word(a, b, c, d), word(e, f, g, h), word(i, j, k, l), word(m, n, o, p)
end

---------------------------------------------------------------------------------------------------
-- AES (FIPS 197), with the usual tables: SubBytes, ShiftRows and MixColumns of a byte in one look.

local sbox, inverse_sbox = {}, {}
local E1, E2, E3, E4 = {}, {}, {}, {}
local D1, D2, D3, D4 = {}, {}, {}, {}

do
    -- Powers of 3 in the field GF(2^8), and their logarithms.
    local power, logarithm = {}, {}
    local x = 1
    for i = 0, 254 do
        power[i], logarithm[x] = x, i
        local double = x * 2
        if double > 255 then
            double = xor(double, 0x11b)
        end
        x = xor(double, x)
    end
    local function times(a, b)
        if a == 0 or b == 0 then
            return 0
        end
        return power[(logarithm[a] + logarithm[b]) % 255]
    end
    for i = 0, 255 do
        local inverse = i == 0 and 0 or power[(255 - logarithm[i]) % 255]
        local s, bits = inverse, inverse
        for _ = 1, 4 do
            bits = bits * 2
            if bits > 255 then
                bits = bits - 255
            end
            s = xor(s, bits)
        end
        s = xor(s, 0x63)
        sbox[i], inverse_sbox[s] = s, i
    end
    for i = 0, 255 do
        local s = sbox[i]
        local two, three = times(s, 2), times(s, 3)
        E1[i], E2[i] = word(two, s, s, three), word(three, two, s, s)
        E3[i], E4[i] = word(s, three, two, s), word(s, s, three, two)
        local r = inverse_sbox[i]
        local a, b, c, d = times(r, 14), times(r, 9), times(r, 13), times(r, 11)
        D1[i], D2[i] = word(a, b, c, d), word(d, a, b, c)
        D3[i], D4[i] = word(c, d, a, b), word(b, c, d, a)
    end
end

-- The round keys of a key of 16 or 32 bytes, as words, from 1 on.
local function aes_key(key)
    local words, n = {}, #key / 4
    for i = 1, n do
        words[i] = word(byte(key, 4 * i - 3, 4 * i))
    end
    local constant = 1
    for i = n + 1, 4 * (n + 7) do
        local w = words[i - 1]
        local a, b, c, d = word_bytes(w)
        if (i - 1) % n == 0 then
            w = xor(word(sbox[b], sbox[c], sbox[d], sbox[a]), constant * 16777216)
            constant = constant * 2
            if constant > 255 then
                constant = xor(constant, 0x11b)
            end
        elseif n == 8 and (i - 1) % n == 4 then
            w = word(sbox[a], sbox[b], sbox[c], sbox[d])
        end
        words[i] = xor(words[i - n], w)
    end
    return words
end

-- One round of either direction. The bytes of the four words are taken apart by arithmetic, which
-- costs Lua less than calling a function for each.
local function encrypt_block(k, a, b, c, d)
    local xor, T1, T2, T3, T4 = xor, E1, E2, E3, E4
    a, b, c, d = xor(a, k[1]), xor(b, k[2]), xor(c, k[3]), xor(d, k[4])
    local last = #k - 3
    local a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
    for i = 5, last, 4 do
        a4, a3, a2 = a % 256, a % 65536, a % 16777216
        a1, a2, a3 = (a - a2) / 16777216, (a2 - a3) / 65536, (a3 - a4) / 256
        b4, b3, b2 = b % 256, b % 65536, b % 16777216
        b1, b2, b3 = (b - b2) / 16777216, (b2 - b3) / 65536, (b3 - b4) / 256
        c4, c3, c2 = c % 256, c % 65536, c % 16777216
        c1, c2, c3 = (c - c2) / 16777216, (c2 - c3) / 65536, (c3 - c4) / 256
        d4, d3, d2 = d % 256, d % 65536, d % 16777216
        d1, d2, d3 = (d - d2) / 16777216, (d2 - d3) / 65536, (d3 - d4) / 256
        if i < last then
            a = xor(T1[a1], T2[b2], T3[c3], T4[d4], k[i])
            b = xor(T1[b1], T2[c2], T3[d3], T4[a4], k[i + 1])
            c = xor(T1[c1], T2[d2], T3[a3], T4[b4], k[i + 2])
            d = xor(T1[d1], T2[a2], T3[b3], T4[c4], k[i + 3])
        end
    end
    local s = sbox
    return xor(word(s[a1], s[b2], s[c3], s[d4]), k[last]),
        xor(word(s[b1], s[c2], s[d3], s[a4]), k[last + 1]),
        xor(word(s[c1], s[d2], s[a3], s[b4]), k[last + 2]),
        xor(word(s[d1], s[a2], s[b3], s[c4]), k[last + 3])
end

-- The round keys of the equivalent inverse cipher (FIPS 197, section 5.3.5), last one first.
local function aes_inverse_key(key)
    local forward, words = aes_key(key), {}
    local last = #forward - 3
    for i = 1, #forward, 4 do
        for j = 0, 3 do
            local w = forward[last - (i - 1) + j]
            if i > 1 and i < last then
                local a, b, c, d = word_bytes(w)
                w = xor(xor(D1[sbox[a]], D2[sbox[b]]), xor(D3[sbox[c]], D4[sbox[d]]))
            end
            words[i + j] = w
        end
    end
    return words
end

local function decrypt_block(k, a, b, c, d)
    a, b, c, d = xor(a, k[1]), xor(b, k[2]), xor(c, k[3]), xor(d, k[4])
    local last = #k - 3
    for i = 5, last, 4 do
        local a1, a2, a3, a4 = word_bytes(a)
        local b1, b2, b3, b4 = word_bytes(b)
        local c1, c2, c3, c4 = word_bytes(c)
        local d1, d2, d3, d4 = word_bytes(d)
        if i < last then
            a = xor(D1[a1], D2[d2], D3[c3], D4[b4], k[i])
            b = xor(D1[b1], D2[a2], D3[d3], D4[c4], k[i + 1])
            c = xor(D1[c1], D2[b2], D3[a3], D4[d4], k[i + 2])
            d = xor(D1[d1], D2[c2], D3[b3], D4[a4], k[i + 3])
        else
            local s = inverse_sbox
            a = xor(word(s[a1], s[d2], s[c3], s[b4]), k[i])
            b = xor(word(s[b1], s[a2], s[d3], s[c4]), k[i + 1])
            c = xor(word(s[c1], s[b2], s[a3], s[d4]), k[i + 2])
            d = xor(word(s[d1], s[c2], s[b3], s[a4]), k[i + 3])
        end
    end
    return a, b, c, d
end

local function padded(s)
    return s .. rep("\0", -#s % 16)
end

-- CFB128 (SP 800-38A, section 6.3).
local function cfb_decrypt(k, iv, ciphertext)
    local a, b, c, d = four_words(iv, 1)
    local blocks, whole = {}, padded(ciphertext)
    for at = 1, #whole, 16 do
        local e, f, g, h = encrypt_block(k, a, b, c, d)
        a, b, c, d = four_words(whole, at)
        blocks[#blocks + 1] = words_string(xor(a, e), xor(b, f), xor(c, g), xor(d, h))
    end
    return sub(concat(blocks), 1, #ciphertext)
end

-- CBC with the padding of PKCS #7; nil where that is wrong.
local function cbc_decrypt(k, iv, ciphertext)
    if #ciphertext == 0 or #ciphertext % 16 ~= 0 then
        return nil
    end
    local a, b, c, d = four_words(iv, 1)
    local blocks = {}
    for at = 1, #ciphertext, 16 do
        local w, x, y, z = four_words(ciphertext, at)
        local e, f, g, h = decrypt_block(k, w, x, y, z)
        blocks[#blocks + 1] = words_string(xor(a, e), xor(b, f), xor(c, g), xor(d, h))
        a, b, c, d = w, x, y, z
    end
    local plain = concat(blocks)
    local n = byte(plain, -1)
    if n < 1 or n > 16 or sub(plain, -n) ~= rep(char(n), n) then
        return nil
    end
    return sub(plain, 1, -n - 1)
end

---------------------------------------------------------------------------------------------------
-- GCM (SP 800-38D) without associated data.

-- Sixteen tables of 256 products, one for each place of a byte in a block, and that for each of the
-- four words of a product: a multiplication is then 64 looks.
local function ghash_tables(h1, h2, h3, h4)
    local T1, T2, T3, T4 = {}, {}, {}, {}
    for place = 1, 16 do
        local t1, t2, t3, t4 = { [0] = 0 }, { [0] = 0 }, { [0] = 0 }, { [0] = 0 }
        local bit = 128
        while bit >= 1 do
            t1[bit], t2[bit], t3[bit], t4[bit] = h1, h2, h3, h4
            -- Times x: one bit to the right (section 6.3).
            local l1, l2, l3, l4 = h1 % 2, h2 % 2, h3 % 2, h4 % 2
            h4 = (h4 - l4) / 2 + l3 * 0x80000000
            h3 = (h3 - l3) / 2 + l2 * 0x80000000
            h2 = (h2 - l2) / 2 + l1 * 0x80000000
            h1 = (h1 - l1) / 2
            if l4 == 1 then
                h1 = xor(h1, 0xe1000000)
            end
            bit = floor(bit / 2)
        end
        local top = 1
        for i = 1, 255 do
            if i == top * 2 then
                top = i
            elseif i ~= top then
                local low = i - top
                t1[i], t2[i] = xor(t1[top], t1[low]), xor(t2[top], t2[low])
                t3[i], t4[i] = xor(t3[top], t3[low]), xor(t4[top], t4[low])
            end
        end
        T1[place], T2[place], T3[place], T4[place] = t1, t2, t3, t4
    end
    return { T1, T2, T3, T4 }
end

local function look(t, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    return xor(t[1][a], t[2][b], t[3][c], t[4][d], t[5][e], t[6][f], t[7][g], t[8][h],
        t[9][i], t[10][j], t[11][k], t[12][l], t[13][m], t[14][n], t[15][o], t[16][p])
end

local function ghash(tables, blocks)
    local T1, T2, T3, T4 = tables[1], tables[2], tables[3], tables[4]
    local y1, y2, y3, y4 = 0, 0, 0, 0
    for at = 1, #blocks, 16 do
        local w1, w2, w3, w4 = four_words(blocks, at)
        local a, b, c, d = word_bytes(xor(y1, w1))
        local e, f, g, h = word_bytes(xor(y2, w2))
        local i, j, k, l = word_bytes(xor(y3, w3))
        local m, n, o, p = word_bytes(xor(y4, w4))
        y1 = look(T1, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
        y2 = look(T2, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
        y3 = look(T3, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
        y4 = look(T4, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    end
    return y1, y2, y3, y4
end

local function gcm_key(key)
    local k = aes_key(key)
    return { k = k, tables = ghash_tables(encrypt_block(k, 0, 0, 0, 0)) }
end

-- The key stream's blocks for a nonce of three words, from the counter 2 on, over a text.
local function ctr(k, n1, n2, n3, text)
    local blocks, whole = {}, padded(text)
    local counter = 2
    for at = 1, #whole, 16 do
        local e, f, g, h = encrypt_block(k, n1, n2, n3, counter)
        local a, b, c, d = four_words(whole, at)
        blocks[#blocks + 1] = words_string(xor(a, e), xor(b, f), xor(c, g), xor(d, h))
        counter = counter + 1
    end
    return sub(concat(blocks), 1, #text)
end

-- The plaintext of ciphertext and tag, or nil if the tag is wrong.
local function gcm_open(key, n1, n2, n3, body)
    if #body < 16 then
        return nil
    end
    local ciphertext = sub(body, 1, -17)
    local lengths = words_string(0, 0, 0, 8 * #ciphertext)
    local y1, y2, y3, y4 = ghash(key.tables, padded(ciphertext) .. lengths)
    local e, f, g, h = encrypt_block(key.k, n1, n2, n3, 1)
    if words_string(xor(y1, e), xor(y2, f), xor(y3, g), xor(y4, h)) ~= sub(body, -16) then
        return nil
    end
    return ctr(key.k, n1, n2, n3, ciphertext)
end

---------------------------------------------------------------------------------------------------
-- SHA-256 (FIPS 180-4) and HMAC (RFC 2104), for Fernet.

-- The first 32 bits behind the point of the cube and square roots of the first primes.
local constants, initial = {}, {}

do
    local function fraction(root)
        return floor(root % 1 * 4294967296)
    end
    local candidate = 2
    while #constants < 64 do
        local prime = true
        for divisor = 2, floor(candidate ^ 0.5) do
            if candidate % divisor == 0 then
                prime = false
            end
        end
        if prime then
            constants[#constants + 1] = fraction(candidate ^ (1 / 3))
            if #initial < 8 then
                initial[#initial + 1] = fraction(candidate ^ 0.5)
            end
        end
        candidate = candidate + 1
    end
end

local function sha256(text)
    local xor, rrotate, rshift, band = xor, rrotate, rshift, band
    local bits = 8 * #text
    local high = floor(bits / 4294967296)
    text = text .. "\128" .. rep("\0", (55 - #text) % 64)
        .. char(word_bytes(high)) .. char(word_bytes(bits % 4294967296))
    local state, w = {}, {}
    for i = 1, 8 do
        state[i] = initial[i]
    end
    for at = 1, #text, 64 do
        for i = 0, 3 do
            w[4 * i + 1], w[4 * i + 2], w[4 * i + 3], w[4 * i + 4] = four_words(text, at + 16 * i)
        end
        for i = 17, 64 do
            local x, y = w[i - 15], w[i - 2]
            local s0 = xor(xor(rrotate(x, 7), rrotate(x, 18)), rshift(x, 3))
            local s1 = xor(xor(rrotate(y, 17), rrotate(y, 19)), rshift(y, 10))
            w[i] = (w[i - 16] + s0 + w[i - 7] + s1) % 4294967296
        end
        local a, b, c, d, e, f, g, h = state[1], state[2], state[3], state[4], state[5], state[6],
            state[7], state[8]
        for i = 1, 64 do
            local s1 = xor(xor(rrotate(e, 6), rrotate(e, 11)), rrotate(e, 25))
            local choice = xor(band(e, xor(f, g)), g)
            local t1 = h + s1 + choice + constants[i] + w[i]
            local s0 = xor(xor(rrotate(a, 2), rrotate(a, 13)), rrotate(a, 22))
            local majority = xor(band(a, xor(b, c)), band(b, c))
            h, g, f, e = g, f, e, (d + t1) % 4294967296
            d, c, b, a = c, b, a, (t1 + s0 + majority) % 4294967296
        end
        for i, x in ipairs({ a, b, c, d, e, f, g, h }) do
            state[i] = (state[i] + x) % 4294967296
        end
    end
    return words_string(state[1], state[2], state[3], state[4])
        .. words_string(state[5], state[6], state[7], state[8])
end

local function hmac_sha256(key, text)
    if #key > 64 then
        key = sha256(key)
    end
    key = key .. rep("\0", 64 - #key)
    local function pad(with)
        return (key:gsub(".", function(c) return char(xor(byte(c), with)) end))
    end
    return sha256(pad(0x5c) .. sha256(pad(0x36) .. text))
end

---------------------------------------------------------------------------------------------------
-- Fernet tokens: base64url( 80 time(8) IV(16) ciphertext HMAC(32) ).

local digits = {}
for i = 1, 64 do
    digits[sub("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", i, i)] = i - 1
end

local function base64url_decode(text)
    local body, padding = text:match("^([A-Za-z0-9_%-]*)(=*)$")
    if not body or #padding > 2 or #text % 4 ~= 0 then
        return nil
    end
    local bytes = (body .. rep("A", #padding)):gsub("(.)(.)(.)(.)", function(a, b, c, d)
        local n = ((digits[a] * 64 + digits[b]) * 64 + digits[c]) * 64 + digits[d]
        local _, x, y, z = word_bytes(n)
        return char(x, y, z)
    end)
    return sub(bytes, 1, #bytes - #padding)
end

-- A token's parts, or nil if it is none.
local function fernet_parts(token)
    local bytes = base64url_decode(token)
    if not bytes or #bytes < 1 + 8 + 16 + 16 + 32 or byte(bytes) ~= 0x80 then
        return nil
    end
    return {
        bytes = bytes,
        signed = sub(bytes, 1, -33),
        iv = sub(bytes, 10, 25),
        ciphertext = sub(bytes, 26, -33),
        hmac = sub(bytes, -32),
    }
end

-- What is in a token, or nil if its HMAC or its padding is wrong.
local function fernet_decrypt(key, parts)
    if hmac_sha256(key.signing, parts.signed) ~= parts.hmac then
        return nil
    end
    return cbc_decrypt(key.k, parts.iv, parts.ciphertext)
end

---------------------------------------------------------------------------------------------------
-- The nonces of stage 5's own connection: the key is renewed every 2^20 records (Noise, REKEY).

local EPOCH = 1048576

local function counter_nonce(number)
    return 0, floor(number / 4294967296), number % 4294967296
end

local function rekeyed(key)
    -- The key stream for 32 zeros under the nonce 2^64 - 1.
    return ctr(aes_key(key), 0, 0xffffffff, 0xffffffff, rep("\0", 32))
end

---------------------------------------------------------------------------------------------------
-- Known answers.

local function selftest()
    local function check(name, found, expected)
        local good = found ~= nil and to_hex(found) == expected
        print("chat5 selftest: " .. name .. ": " .. (good and "ok" or "FAILED"))
    end
    local h = from_hex
    local counting = h("00112233445566778899aabbccddeeff")
    local key16 = h("000102030405060708090a0b0c0d0e0f")
    local key32 = key16 .. h("101112131415161718191a1b1c1d1e1f")
    local function aes(k, block)
        return words_string(encrypt_block(k, four_words(block, 1)))
    end
    check("AES-128, FIPS 197 C.1", aes(aes_key(key16), counting),
        "69c4e0d86a7b0430d8cdb78070b4c55a")
    check("AES-256, FIPS 197 C.3", aes(aes_key(key32), counting),
        "8ea2b7ca516745bfeafc49904b496089")
    check("AES-128 inverse, FIPS 197 C.1",
        words_string(decrypt_block(aes_inverse_key(key16),
            four_words(h("69c4e0d86a7b0430d8cdb78070b4c55a"), 1))), to_hex(counting))
    check("CFB128-AES256, SP 800-38A F.3.18",
        cfb_decrypt(aes_key(h("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")),
            key16, h("dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
                .. "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471")),
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
            .. "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
    local gcm = gcm_key(rep(h("feffe9928665731c6d6a8f9467308308"), 2))
    local sealed = h("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        .. "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        .. "b094dac5d93471bdec1a502270e3cc6c")
    check("AES-256-GCM, McGrew and Viega, test case 15",
        gcm_open(gcm, 0xcafebabe, 0xfacedbad, 0xdecaf888, sealed),
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            .. "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")
    check("AES-256-GCM, a wrong tag",
        gcm_open(gcm, 0xcafebabe, 0xfacedbad, 0xdecaf888, "S" .. sub(sealed, 2)) or "none",
        to_hex("none"))
    check("SHA-256, FIPS 180-4, abc", sha256("abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    check("HMAC-SHA-256, RFC 4231, test case 2",
        hmac_sha256("Jefe", "what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    check("HMAC-SHA-256, RFC 4231, test case 6",
        hmac_sha256(rep("\170", 131), "Test Using Larger Than Block-Size Key - Hash Key First"),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    local token = fernet_parts("gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOP"
        .. "mrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==")
    local fernet = base64url_decode("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")
    check("Fernet, the specification's verify.json", token and fernet_decrypt({
        signing = sub(fernet, 1, 16),
        k = aes_inverse_key(sub(fernet, 17)),
    }, token), to_hex("hello"))
    -- A session with private keys that count up, computed with Python's package cryptography.
    local noise = h("e1b2450cd0125ae46eb9a6c365b526798b7b187e580c902fdb1819038e58c278")
    check("Noise, the first record",
        gcm_open(gcm_key(noise), 0, 0, 0, h("a6c91b6cee6c09281ccb3984b54b4304d4f3d6")), "106869")
    check("Noise, the first record after REKEY", gcm_open(gcm_key(rekeyed(noise)), 0,
        floor(EPOCH / 4294967296), EPOCH, h("122da482e0f35ebacf80dd462e5c73c53cf16b")), "106869")
end

---------------------------------------------------------------------------------------------------
-- Text and JSON (RFC 8259), as strict as the protocol. Wireshark's own JSON dissector shows the
-- message; what is read here are the values for the fields and the sentences.

local function is_utf8(s)
    local at = s:find("[\128-\255]")
    while at do
        local a, b = byte(s, at, at + 1)
        b = b or 0
        local more
        if a >= 0xc2 and a <= 0xdf then
            more = 1
        elseif a >= 0xe0 and a <= 0xef and (a ~= 0xe0 or b >= 0xa0) and (a ~= 0xed or b < 0xa0) then
            more = 2
        elseif a >= 0xf0 and a <= 0xf4 and (a ~= 0xf0 or b >= 0x90) and (a ~= 0xf4 or b < 0x90) then
            more = 3
        else
            return false
        end
        if not s:find("^" .. rep("[\128-\191]", more), at + 1) then
            return false
        end
        at = s:find("[\128-\255]", at + 1 + more)
    end
    return true
end

local function utf8_char(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xc0 + floor(code / 64), 0x80 + code % 64)
    elseif code < 0x10000 then
        return char(0xe0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
    end
    return char(0xf0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64,
        0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local function utf8_code(sequence)
    local first, n = byte(sequence), #sequence
    local code = n == 1 and first or first % 2 ^ (7 - n)
    for i = 2, n do
        code = code * 64 + byte(sequence, i) % 64
    end
    return code
end

-- What must not be shown as it is; see "Before you show it".
local HIDDEN = {
    { 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c },
    { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200b },
    { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 },
    { 0xfe00, 0xfe0e }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
    { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
}
-- Most bytes of a text in a sentence.
local LONGEST = 200

local function escaped(text)
    if #text > LONGEST then
        text = sub(text, 1, LONGEST):gsub("[\192-\255][\128-\191]*$", "") .. "…"
    end
    if not text:find("[^\32-\126]") then
        return text
    end
    return (text:gsub("[\0-\127\194-\244][\128-\191]*", function(sequence)
        local code = utf8_code(sequence)
        for _, range in ipairs(HIDDEN) do
            if code >= range[1] and code <= range[2] then
                return ("\\u{%x}"):format(code)
            end
        end
    end))
end

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- Where a string ends whose quote is before `at`, and what it is; nil if it is none.
local function json_string(s, at)
    local parts = {}
    while true do
        local from, stop = s:find('^[^\0-\31"\\]*', at)
        parts[#parts + 1] = sub(s, from, stop)
        at = stop + 1
        local c = sub(s, at, at)
        if c == '"' then
            return at, concat(parts)
        elseif c == "\\" then
            local escape = sub(s, at + 1, at + 1)
            local hex = s:match("^u(%x%x%x%x)", at + 1)
            if hex then
                local code = tonumber(hex, 16)
                at = at + 6
                if code >= 0xd800 and code <= 0xdbff then
                    local low = tonumber(s:match("^\\u(%x%x%x%x)", at) or "0", 16)
                    if low < 0xdc00 or low > 0xdfff then
                        return nil
                    end
                    code = 0x10000 + (code - 0xd800) * 1024 + low - 0xdc00
                    at = at + 6
                elseif code >= 0xdc00 and code <= 0xdfff then
                    return nil
                end
                parts[#parts + 1] = utf8_char(code)
            elseif escape ~= "" and ('"\\/'):find(escape, 1, true) then
                parts[#parts + 1] = escape
                at = at + 2
            elseif ESCAPES[escape] then
                parts[#parts + 1] = ESCAPES[escape]
                at = at + 2
            else
                return nil
            end
        else
            return nil
        end
    end
end

local function json_blank(s, at)
    return s:find("[^ \t\r\n]", at) or #s + 1
end

-- A value: { kind, value, from, to }, and where to go on; nil if there is none. The value of an
-- object is a list of { key, value }.
local function json_value(s, at, depth)
    at = json_blank(s, at)
    local c = sub(s, at, at)
    if c == '"' then
        local stop, text = json_string(s, at + 1)
        return stop and { kind = "string", value = text, from = at, to = stop }, (stop or 0) + 1
    elseif c == "{" or c == "[" then
        local object, from, values = c == "{", at, {}
        local close = object and "}" or "]"
        at = json_blank(s, at + 1)
        if depth > 8 then
            return nil
        elseif sub(s, at, at) == close then
            return { kind = object and "object" or "array", value = values, from = from, to = at },
                at + 1
        end
        while true do
            local key, value, stop
            if object then
                if sub(s, at, at) ~= '"' then
                    return nil
                end
                stop, key = json_string(s, at + 1)
                at = stop and json_blank(s, stop + 1)
                if not stop or sub(s, at, at) ~= ":" then
                    return nil
                end
                at = at + 1
            end
            value, at = json_value(s, at, depth + 1)
            if not value then
                return nil
            end
            values[#values + 1] = object and { key = key, value = value } or value
            at = json_blank(s, at)
            c = sub(s, at, at)
            if c == close then
                return { kind = object and "object" or "array", value = values, from = from,
                    to = at }, at + 1
            elseif c ~= "," then
                return nil
            end
            at = json_blank(s, at + 1)
        end
    end
    local number = s:match("^%-?%d+", at)
    if number and not number:find("^%-?0%d") then
        number = number .. (s:match("^%.%d+", at + #number) or "")
        number = number .. (s:match("^[eE][+-]?%d+", at + #number) or "")
        return { kind = "number", value = number, from = at, to = at + #number - 1 }, at + #number
    end
    for _, literal in ipairs({ "true", "false", "null" }) do
        if sub(s, at, at + #literal - 1) == literal then
            return { kind = literal, from = at, to = at + #literal - 1 }, at + #literal
        end
    end
    return nil
end

-- The fields of a message by their names, in a list too; nil if it is no JSON object with a type.
local function read_message(s)
    if not is_utf8(s) then
        return nil
    end
    local object, stop = json_value(s, 1, 1)
    if not object or object.kind ~= "object" or json_blank(s, stop) <= #s then
        return nil
    end
    local fields = {}
    for _, member in ipairs(object.value) do
        if fields[member.key] then
            return nil
        end
        fields[member.key] = member.value
    end
    if not fields.type or fields.type.kind ~= "string" then
        return nil
    end
    return fields, object.value
end

---------------------------------------------------------------------------------------------------
-- What Wireshark is told of.

local chat5 = Proto("chat5", "Secure chat in five stages")

local KINDS = {
    [0x10] = "message", [0x11] = "chunk", [0x12] = "close", [0x20] = "handshake",
    [0x21] = "record", [0x30] = "welcome", [0x31] = "user", [0x32] = "salt", [0x33] = "proof",
    [0x34] = "signature", [0x35] = "fail",
}
local KEXES = {
    [0] = "any", [1] = "p256", [2] = "x25519", [3] = "rsa2048-server", [4] = "rsa2048-client",
}
local CIPHERS = { [0] = "any", [1] = "aes-256-cfb", [2] = "aes-256-gcm", [3] = "fernet" }
local RSA_SERVER, RSA_CLIENT = 3, 4
local CFB, GCM, FERNET, NOISE = 1, 2, 3, 4
local SUITES = { [1] = "Noise_NX_25519_AESGCM_SHA256" }
local WELCOMES = {
    [0] = "open: no password", [1] = "room: one password for all", [2] = "accounts",
}

local MAX_LENGTH = 131072

local f = {
    length = ProtoField.uint32("chat5.length", "Length", base.DEC, nil, nil, "Of kind and body"),
    kind = ProtoField.uint8("chat5.kind", "Kind", base.HEX, KINDS),
    sender = ProtoField.string("chat5.sender", "Sender", base.ASCII, "client or server"),
    client = ProtoField.string("chat5.client", "Client", base.UNICODE, "What it is called, once that is known"),
    status = ProtoField.string("chat5.status", "Status", base.ASCII, "plaintext, inside, handshake, "
        .. "decrypted, garbled, unreadable, missing key, tag bad, bad record, bad length or cut"),
    sentence = ProtoField.string("chat5.sentence", "In words", base.UNICODE),

    magic = ProtoField.string("chat5.handshake.magic", "Magic"),
    version = ProtoField.uint8("chat5.handshake.version", "Version"),
    step = ProtoField.uint8("chat5.handshake.step", "Step"),
    random = ProtoField.bytes("chat5.handshake.random", "Random"),
    kex = ProtoField.uint8("chat5.handshake.kex", "Key exchange", base.DEC, KEXES),
    cipher = ProtoField.uint8("chat5.handshake.cipher", "Cipher", base.DEC, CIPHERS),
    share = ProtoField.bytes("chat5.handshake.share", "Share"),
    secret = ProtoField.bytes("chat5.handshake.secret", "Encrypted secret"),

    suites = ProtoField.uint8("chat5.noise.suites", "Suites offered"),
    suite = ProtoField.uint8("chat5.noise.suite", "Suite", base.DEC, SUITES),
    ephemeral = ProtoField.bytes("chat5.noise.ephemeral", "Ephemeral key"),
    static = ProtoField.bytes("chat5.noise.static", "Static key, encrypted"),
    noise_tag = ProtoField.bytes("chat5.noise.tag", "Tag"),

    number = ProtoField.uint64("chat5.record.number", "Number in its direction"),
    record_cipher = ProtoField.string("chat5.record.cipher", "Cipher"),
    iv = ProtoField.bytes("chat5.record.iv", "IV"),
    nonce = ProtoField.string("chat5.record.nonce", "Nonce", base.ASCII,
        "Counted, not on the wire"),
    ciphertext = ProtoField.bytes("chat5.record.ciphertext", "Ciphertext"),
    tag = ProtoField.bytes("chat5.record.tag", "Tag"),
    token = ProtoField.string("chat5.record.token", "Fernet token"),
    token_time = ProtoField.absolute_time("chat5.record.time", "Time in the token"),
    record_kind = ProtoField.uint8("chat5.record.kind", "Kind within", base.HEX, KINDS),

    chunk_id = ProtoField.uint32("chat5.chunk.id", "File"),
    chunk_offset = ProtoField.uint64("chat5.chunk.offset", "Offset"),
    chunk_size = ProtoField.uint32("chat5.chunk.size", "Bytes of the file"),
    chunk_data = ProtoField.bytes("chat5.chunk.data", "Data"),

    welcome = ProtoField.uint8("chat5.login.welcome", "Login", base.HEX, WELCOMES),
    user = ProtoField.string("chat5.login.user", "User", base.UNICODE),
    salt = ProtoField.bytes("chat5.login.salt", "Salt"),
    proof = ProtoField.bytes("chat5.login.proof", "Proof"),
    signature = ProtoField.bytes("chat5.login.signature", "Signature"),

    message = ProtoField.string("chat5.message", "Message", base.UNICODE),
    member = ProtoField.string("chat5.msg.member", "member", base.UNICODE),
    person_name = ProtoField.string("chat5.msg.person.name", "person, name", base.UNICODE),
    person_status = ProtoField.string("chat5.msg.person.status", "person, status", base.UNICODE),
    sealed_salt = ProtoField.bytes("chat5.msg.sealed.salt", "salt"),
    sealed_nonce = ProtoField.bytes("chat5.msg.sealed.nonce", "nonce"),
    sealed_ciphertext = ProtoField.bytes("chat5.msg.sealed.ciphertext", "ciphertext"),
    sealed_tag = ProtoField.bytes("chat5.msg.sealed.tag", "tag"),
}

-- The fields of messages: chat5.msg.type and so on.
local texts, integers = {}, {}
for name in ("type name text to from group owner by status sha256 reason sealed"):gmatch("%S+") do
    texts[name] = ProtoField.string("chat5.msg." .. name, name, base.UNICODE)
end
for name in ("chat5 id tag size offset"):gmatch("%S+") do
    integers[name] = ProtoField.uint64("chat5.msg." .. name, name)
end

local fields = {}
for _, some in ipairs({ f, texts, integers }) do
    for _, field in pairs(some) do
        fields[#fields + 1] = field
    end
end
chat5.fields = fields

local DECRYPTION = expert.group.DECRYPTION or expert.group.SECURITY
local ef = {
    tag_bad = ProtoExpert.new("chat5.tag_bad", "[TAG BAD]", expert.group.SECURITY,
        expert.severity.ERROR),
    bad_record = ProtoExpert.new("chat5.bad_record", "A record in which nothing can be",
        expert.group.MALFORMED, expert.severity.ERROR),
    bad_length = ProtoExpert.new("chat5.bad_length", "A frame of a wrong length",
        expert.group.MALFORMED, expert.severity.ERROR),
    garbled = ProtoExpert.new("chat5.garbled", "[GARBLED]", expert.group.SECURITY,
        expert.severity.WARN),
    unreadable = ProtoExpert.new("chat5.unreadable", "Unreadable", expert.group.MALFORMED,
        expert.severity.WARN),
    missing_key = ProtoExpert.new("chat5.missing_key", "[MISSING KEY]", DECRYPTION,
        expert.severity.WARN),
}
chat5.experts = { ef.tag_bad, ef.bad_record, ef.bad_length, ef.garbled, ef.unreadable,
    ef.missing_key }

chat5.prefs.keylog = Pref.string("Key log", "",
    "A file of session keys, as the stages write it with --keylog")
chat5.prefs.selftest = Pref.bool("Test the cryptography", false,
    "Checks it against published vectors and prints the results")

-- Legal only while this file is loaded.
local tcp_stream = Field.new("tcp.stream")
local comments = Field.new("frame.comment")
local interface_name = Field.new("frame.interface_name")

-- A capture of an encrypted stage can have two views: on this interface is what was inside records.
local INSIDE = "plaintext"

---------------------------------------------------------------------------------------------------
-- State. Wireshark takes each frame apart at least once in order, and then again and again in any
-- order. What depends on the order (who is the client, the step of a handshake, the number of a
-- record) is decided the first time and kept for each frame.

local streams, segments, frames, insides, keys
local log_offset, log_start, log_problem
local with_tables, newest_tables

local function forget_all()
    streams, segments, frames, insides, keys = {}, {}, {}, {}, {}
    log_offset, log_start, log_problem = 0, "", nil
    with_tables, newest_tables = {}, 0
end

forget_all()

-- What was seen of the packet that is being taken apart: its frames by their places, how many of
-- them have been told and the first sentences, how many messages, and whether the key log was read.
local shown

local function forget_packet()
    shown = { places = {}, sentences = {}, told = 0, json = 0 }
end

forget_packet()

local function begin_frame(pinfo, place)
    -- The same frame once more: Wireshark takes this segment apart anew.
    if shown.number ~= pinfo.number or shown.places[place] then
        forget_packet()
        shown.number = pinfo.number
    end
    shown.places[place] = true
end

-- Takes the keys from a text, wherever in it the lines are.
local function learn_keys(text)
    for label, id, key in text:gmatch("(CHAT[25]_[CS]2[CS]) +(%x+) +(%x+)") do
        if #id == 64 and #key == 64 then
            keys[label .. id:lower()] = from_hex(key)
        end
    end
end

-- Why a file cannot be opened for writing that perhaps can be read.
local EACCES, EROFS = 13, 30
-- Most bytes of the key log that are read at a time.
local MOST_KEYS = 16777216

-- Opens the key log, and says how long it is; nil and why not if it is no file that can be read.
local function open_key_log(path)
    -- A pipe that is opened for reading alone waits for who writes into it, and a folder can be
    -- opened like that.
    local file, problem, code = io.open(path, "r+b")
    if not file and (code == EACCES or code == EROFS) then
        file, problem = io.open(path, "rb")
    end
    if not file then
        return nil, nil, problem
    end
    local size = file:seek("end")
    if not size then
        file:close()
        return nil, nil, path .. " is no plain file"
    end
    return file, size
end

-- Reads what was added to the key log since the last time: a capture may be a live one.
local function read_key_log()
    local path = chat5.prefs.keylog
    if path == "" then
        return
    end
    local file, size, problem = open_key_log(path)
    log_problem = problem
    if not file then
        return
    end
    -- Another file may have come in its place.
    file:seek("set", 0)
    if size < log_offset or #log_start > 0 and file:read(#log_start) ~= log_start then
        log_offset, log_start = 0, ""
    end
    file:seek("set", log_offset)
    local text = size > log_offset and file:read(math.min(size - log_offset, MOST_KEYS)) or ""
    file:close()
    local whole = text:match("^.*\n") or ""
    learn_keys(text)
    if log_offset == 0 then
        log_start = sub(whole, 1, 1000)
    end
    log_offset = log_offset + #whole
end

-- The key of a direction, and what to say if there is none.
local function key_of(stream, from_client)
    local id = stream.id
    if not id then
        return nil, "the handshake of this connection is not in the capture"
    end
    local label = ("CHAT%d_%s"):format(stream.version, from_client and "C2S" or "S2C")
    local key = keys[label .. id]
    if not key and not shown.asked then
        -- Once for a packet.
        read_key_log()
        shown.asked = true
        key = keys[label .. id]
    end
    if key then
        return key
    elseif log_problem then
        return nil, "the key log cannot be read: " .. log_problem
    end
    return nil, ("neither the key log (preference chat5.keylog) nor a comment has the line %s %s "
        .. "and a key of 64 digits behind it"):format(label, id)
end

local function endpoint(address, port)
    return tostring(address) .. "/" .. port
end

-- The number that TCP has given the connection; nil where Wireshark builds no tree, which it does
-- not always do the first time. The last one counts: a tunnel may have one around it.
local function tcp_stream_of()
    local values = { tcp_stream() }
    return #values > 0 and values[#values].value or nil
end

-- Whether this packet shows what was inside records; nil if that is not known yet, for where
-- Wireshark builds no tree there is no name of an interface.
local function is_inside(pinfo)
    local name = interface_name()
    if name then
        insides[pinfo.number] = tostring(name.value) == INSIDE
    end
    return insides[pinfo.number]
end

-- What both directions of a connection share.
local function pair_of(from, to)
    return from < to and from .. " " .. to or to .. " " .. from
end

-- The connection of a frame that is seen for the first time. Ports may come again: then it is a
-- new one if TCP says so, or if the client begins with another hello.
local function stream_of(pinfo, from, to, kind, body)
    local pair, number = pair_of(from, to), tcp_stream_of()
    local stream = streams[pair]
    local hello = kind == 0x20 and body:find("^CHT[25]\1")
    if not stream or number and stream.tcp and number ~= stream.tcp
        or hello and stream.step > 1 and stream.client == from then
        stream = { step = 0, count = {}, opened = {}, offers = {}, files = {}, named = {},
            tcp = number }
        -- The client begins, but for a login; of a capture that began late nothing but the port
        -- says who is who. What comes later does not turn it round.
        local from_server = pinfo.src_port >= 7001 and pinfo.src_port <= 7005
            or kind == 0x30 and is_inside(pinfo) ~= false
        stream.client = from_server and to or from
        streams[pair] = stream
    end
    return stream
end

---------------------------------------------------------------------------------------------------
-- Records.

-- The tables of GHASH are large. So many directions have theirs at the same time; those of others
-- are made anew when they are needed again.
local MOST_TABLES = 32

local function keep_tables(made, stream, from_client)
    newest_tables = newest_tables % MOST_TABLES + 1
    local old = with_tables[newest_tables]
    if old and old.opened[old.side] == old.made then
        old.opened[old.side] = nil
    end
    with_tables[newest_tables] = { made = made, opened = stream.opened, side = from_client }
end

-- What is needed to open the records of a direction, made once.
local function opener(stream, from_client, epoch)
    local made = stream.opened[from_client]
    if made and made.epoch == epoch then
        return made
    end
    local raw, why = key_of(stream, from_client)
    if not raw then
        return nil, why
    end
    made = { epoch = epoch }
    if stream.cipher == CFB then
        made.k = aes_key(raw)
    elseif stream.cipher == FERNET then
        made.signing, made.k = sub(raw, 1, 16), aes_inverse_key(sub(raw, 17))
    else
        for _ = 1, epoch do
            raw = rekeyed(raw)
        end
        made.gcm = gcm_key(raw)
        keep_tables(made, stream, from_client)
    end
    stream.opened[from_client] = made
    return made
end

-- Opens a record: sets the entry's status, and its plaintext or what to say instead.
local function open_record(entry, body)
    local stream = entry.stream
    local cipher = stream.cipher
    entry.status, entry.plain = "bad record", nil
    if not cipher then
        entry.status = "missing key"
        entry.why = "the handshake of this connection is not in the capture"
        return
    elseif cipher > NOISE or cipher < CFB then
        entry.status, entry.why = "missing key", "this plugin does not know cipher " .. cipher
        return
    elseif cipher == CFB and #body < 17 then
        entry.why = "nothing is behind the IV of 16 bytes"
        return
    elseif (cipher == GCM or cipher == NOISE) and #body < 17 then
        entry.why = "nothing is before the tag of 16 bytes"
        return
    end
    local token = cipher == FERNET and fernet_parts(body)
    if cipher == FERNET and not token then
        entry.why = "this is no Fernet token"
        return
    end
    local epoch = cipher == NOISE and floor(entry.number / EPOCH) or 0
    local opens, why = opener(stream, entry.from_client, epoch)
    if not opens then
        entry.status, entry.why = "missing key", why
        return
    end
    if cipher == CFB then
        entry.plain = cfb_decrypt(opens.k, sub(body, 1, 16), sub(body, 17))
    elseif cipher == FERNET then
        entry.plain = fernet_decrypt(opens, token)
        entry.why = "the HMAC of this token is wrong: it was changed, or the key is another one"
    else
        local n1, n2, n3 = counter_nonce(entry.number)
        entry.plain = gcm_open(opens.gcm, n1, n2, n3, body)
        entry.why = ("the tag is wrong for record %d of this direction: it was changed, repeated, "
            .. "left out or moved on its way, or the key is another one, or the capture lacks "
            .. "packets or has them in another order"):format(entry.number)
    end
    if not entry.plain then
        entry.status = "tag bad"
    elseif #entry.plain > 0 then
        entry.status, entry.why = "decrypted", nil
    else
        entry.plain, entry.why = nil, "there is no frame within"
    end
end

---------------------------------------------------------------------------------------------------
-- Sentences. In braces are fields of the message; {file} is the file with this id.

local requests = {
    hello = "wants to be called {name}",
    say = "says to the room: {text}",
    private = "says to {to} alone: {text}",
    secret = "has a secret for {to} that the server cannot read",
    names = "asks who is here",
    status = function(m) return m.status and "is {status} now" or "asks for its own status" end,
    ["group-set"] = "makes the group {group} of itself and {members}",
    ["group-send"] = "says to the group {group}: {text}",
    ["group-leave"] = "leaves the group {group}",
    ["group-delete"] = "deletes the group {group}",
    typing = "is typing",
    offer = function(m)
        return "offers " .. (m.to and "{to}" or "everyone") .. " the file {name}, {size} bytes"
    end,
    accept = "takes {file}",
    refuse = "does not take {file}: {text}",
    ack = "has the bytes of {file} before {offset}",
    ["end"] = "has sent all {size} bytes of {file}",
    received = "has {file} in its place",
    abort = "gives up {file}: {text}",
    ping = "asks: are you there?",
    pong = "answers: I am here",
}

local events = {
    welcome = "welcome, {name}; here are {people}",
    joined = "{name} joined",
    left = "{name} left",
    said = "{from} said to the room: {text}",
    private = "{from} said to {to} alone: {text}",
    secret = "a secret from {from} for {to}, which the server cannot read",
    group = "{from} said to the group {group}: {text}",
    names = "here are {people}",
    status = "{name} is {status}",
    ["group-set"] = "{owner} made the group {group} of {members}",
    ["group-left"] = "{name} left the group {group}",
    ["group-owner"] = "the group {group} belongs to {owner} now",
    ["group-deleted"] = "{by} deleted the group {group}",
    typing = "{name} is typing",
    offered = "offer {tag} is {file} now",
    ["not-offered"] = "offer {tag} is none: {text}",
    offer = "{from} offers the file {name}, {size} bytes, as file {id}",
    go = "send {file} now",
    ack = "all who take {file} have the bytes before {offset}",
    dropped = "{name} does not get {file}: {text}",
    received = "{name} has {file}",
    done = "{file} is done",
    ["end"] = "those were all {size} bytes of {file}",
    abort = "{file} is over: {text}",
    notice = "{text}",
    refused = "refused: {text}",
    bye = "bye ({reason}): {text}",
    ping = "asks: are you there?",
    pong = "answers: I am here",
}

local function file_name(stream, id)
    local known = stream.files[id]
    return known and ("file %s (%s)"):format(escaped(id), escaped(known.name))
        or "file " .. escaped(id)
end

-- A field of a message as it is in a sentence.
local function spoken(m, name, stream)
    if name == "file" then
        return m.id and m.id.kind == "number" and file_name(stream, m.id.value) or "a file"
    end
    local field = m[name]
    if not field then
        return "?"
    elseif field.kind ~= "array" then
        return field.value and type(field.value) == "string" and escaped(field.value) or "?"
    end
    local parts = {}
    for _, value in ipairs(field.value) do
        if value.kind == "string" then
            parts[#parts + 1] = value.value
        elseif value.kind == "object" then
            for _, member in ipairs(value.value) do
                if member.key == "name" and member.value.kind == "string" then
                    parts[#parts + 1] = member.value.value
                end
            end
        end
    end
    return #parts > 0 and escaped(concat(parts, ", ")) or "nobody else"
end

local function sentence_of(m, from_client, stream)
    local kind = m.type.value
    local template = (from_client and requests or events)[kind]
    if not template then
        return "a message of the type " .. escaped(kind) .. ", which nobody knows here"
    elseif type(template) == "function" then
        template = template(m)
    end
    local sentence = template:gsub("{(%w+)}", function(name) return spoken(m, name, stream) end)
    return sentence
end

-- Keeps what later sentences need: names of people and of files.
local function remember(m, from_client, stream)
    local function string_of(name)
        return m[name] and m[name].kind == "string" and m[name].value
    end
    local function number_of(name)
        return m[name] and m[name].kind == "number" and m[name].value
    end
    local kind, name = m.type.value, string_of("name")
    local id, tag, size = number_of("id"), number_of("tag"), number_of("size")
    if name and kind == (from_client and "hello" or "welcome") and not stream.named[kind] then
        -- The first of either; the server has the last word.
        stream.named[kind], stream.name = true, escaped(name)
    elseif kind == "offer" and name and size then
        local file = { name = name, size = size }
        if from_client and tag then
            stream.offers[tag] = file
        elseif not from_client and id then
            stream.files[id] = file
        end
    elseif kind == "offered" and not from_client and id and tag then
        stream.files[id] = stream.offers[tag]
    end
end

---------------------------------------------------------------------------------------------------
-- What is in a frame or a record: kind · body.

-- Of a packet so many messages are shown by Wireshark's own dissector, too. Each costs one of the
-- 500 layers that a packet may have; where they are used up, 4.0 crashes, whatever is caught here.
local MOST_JSON = 32
local json = Dissector.get("json")

-- The bytes of a range. (Its raw() begins at the wrong place in old versions.)
local function bytes_of(range)
    return range:bytes():raw()
end

local function add_sealed(tree, field)
    local hex = field.value
    if #hex < 2 * 45 or #hex % 2 ~= 0 or hex:find("%X") then
        return
    end
    local tvb = ByteArray.new(from_hex(hex), true):tvb("Secret")
    tree:add(f.sealed_salt, tvb(0, 16))
    tree:add(f.sealed_nonce, tvb(16, 12))
    tree:add(f.sealed_ciphertext, tvb(28, tvb:len() - 44))
    tree:add(f.sealed_tag, tvb(tvb:len() - 16, 16))
end

-- A text as a value of a field, which would end with a NUL.
local function without_nul(text)
    return (text:gsub("\0", "\\u{0}"))
end

local function add_field(tree, range, key, value)
    local where = range(value.from - 1, value.to - value.from + 1)
    if texts[key] and value.kind == "string" then
        local item = tree:add(texts[key], where, without_nul(value.value))
        if key == "sealed" then
            add_sealed(item, value)
        end
    elseif integers[key] and value.kind == "number" and value.value:find("^%d+$")
        and #value.value <= 20 then
        tree:add(integers[key], where, UInt64(value.value))
    elseif key == "members" and value.kind == "array" then
        for _, member in ipairs(value.value) do
            if member.kind == "string" then
                local at, to = member.from, member.to
                tree:add(f.member, range(at - 1, to - at + 1), without_nul(member.value))
            end
        end
    elseif key == "people" and value.kind == "array" then
        for _, person in ipairs(value.value) do
            for _, part in ipairs(person.kind == "object" and person.value or {}) do
                local of = part.key == "name" and f.person_name
                    or part.key == "status" and f.person_status
                if of and part.value.kind == "string" then
                    local at, to = part.value.from, part.value.to
                    tree:add(of, range(at - 1, to - at + 1), without_nul(part.value.value))
                end
            end
        end
    end
end

-- Each returns a sentence, and whether it could be read.
local contents = {}

contents[0x10] = function(range, entry, pinfo, tree)
    local text = bytes_of(range)
    local m, list = read_message(text)
    if not m then
        return "a message that is no JSON object with a type", false
    end
    local stream = entry.stream
    remember(m, entry.from_client, stream)
    local branch = tree:add(f.message, range, text)
    for _, member in ipairs(list) do
        add_field(branch, range, member.key, member.value)
    end
    shown.json = shown.json + 1
    if shown.json <= MOST_JSON then
        -- It writes into the columns; they are written anew when all is known.
        json:call(range:tvb(), pinfo, tree)
    else
        branch:add(range, ("Its JSON is not shown once more: this packet has more than %d messages")
            :format(MOST_JSON)):set_generated()
    end
    -- Also where the type is one that somebody has added to the chat.
    return sentence_of(m, entry.from_client, stream), true
end

contents[0x11] = function(range, entry, _, tree)
    if range:len() < 12 + 1 or range:len() > 12 + 65536 then
        return "a chunk of a wrong length", false
    end
    tree:add(f.chunk_id, range(0, 4))
    tree:add(f.chunk_offset, range(4, 8))
    local size = range:len() - 12
    tree:add(f.chunk_size, range(12), size):set_generated()
    tree:add(f.chunk_data, range(12))
    local id = ("%d"):format(range(0, 4):uint())
    local offset = range(4, 8):uint64():tonumber()
    local known = entry.stream.files[id]
    -- Where the offer has a number of bytes that a file can have.
    local whole = known and known.size:find("^%d+$") and #known.size <= 15 and tonumber(known.size)
    local share = ""
    if whole and offset + size <= whole then
        share = (" of %s, %d %%"):format(known.size, floor(100 * (offset + size) / whole))
    end
    -- CFB makes a chunk of a message whose kind was changed; files that nobody offered say so.
    local good = known ~= nil or entry.stream.cipher ~= CFB
    return ("chunk of %s: bytes %.0f to %.0f%s")
        :format(file_name(entry.stream, id), offset, offset + size - 1, share), good
end

contents[0x12] = function(range)
    return "close: nothing more comes from here", range == nil
end

local function login(size, field, sentence)
    return function(range, _, _, tree)
        local found = range and range:len() or 0
        if found ~= size and (size or found == 0) then
            return "login, of a wrong length", false
        end
        tree:add(field, range)
        return sentence, true
    end
end

contents[0x30] = function(range, _, _, tree)
    if not range or range:len() ~= 1 then
        return "login, of a wrong length", false
    end
    tree:add(f.welcome, range)
    return "login: " .. (WELCOMES[range:uint()] or "of an unknown kind"), true
end
contents[0x31] = function(range, _, _, tree)
    if not range or not is_utf8(bytes_of(range)) then
        return "login, of a user without a name", false
    end
    tree:add(f.user, range, without_nul(bytes_of(range)))
    return "login: I am " .. escaped(bytes_of(range)), true
end
contents[0x32] = login(16, f.salt, "login: the salt of your password")
contents[0x33] = login(32, f.proof, "login: proof that I know the password")
contents[0x34] = login(32, f.signature, "login: you are in, and proof that I know it, too")
contents[0x35] = function(range)
    return "login: failed", range == nil
end

-- Takes kind · body apart. `range` is the body, or nil if there is none.
local function dissect_content(kind, range, entry, pinfo, tree)
    local content = contents[kind]
    if not content or (kind < 0x12 and not range) then
        return ("a frame of the kind %02x, in which nothing is readable"):format(kind), false
    end
    return content(range, entry, pinfo, tree)
end

---------------------------------------------------------------------------------------------------
-- The handshakes.

local function name_of(names, number)
    return names[number] or ("number %d"):format(number)
end

-- The first time: which step is this, and what does it say of the connection?
local function handshake_step(stream, body)
    stream.step = stream.step + 1
    local step, magic = stream.step, sub(body, 1, 4)
    if step == 1 and magic == "CHT2" and #body == 39 then
        stream.version, stream.id = 2, to_hex(sub(body, 6, 37))
    elseif step == 1 and magic == "CHT5" and #body >= 39 then
        stream.version, stream.id = 5, to_hex(sub(body, -32))
    elseif step == 2 and magic == "CHT2" and #body >= 39 and stream.version == 2 then
        stream.kex, stream.cipher = byte(body, 38, 39)
    elseif step == 2 and magic == "CHT5" and stream.version == 5 then
        stream.cipher = NOISE
    end
    return step
end

local function dissect_handshake(range, entry, tree)
    local stream, step, size = entry.stream, entry.step, range:len()
    tree:add(f.step, step):set_generated()
    local magic = size >= 6 and range(0, 4):string() or ""
    if stream.version == 2 and step <= 2 and magic == "CHT2" and size >= 39 then
        tree:add(f.magic, range(0, 4))
        tree:add(f.version, range(4, 1))
        tree:add(f.random, range(5, 32))
        tree:add(f.kex, range(37, 1))
        tree:add(f.cipher, range(38, 1))
        local kex, cipher = range(37, 1):uint(), range(38, 1):uint()
        local suite = (kex == 0 and "any key exchange" or name_of(KEXES, kex)) .. " and "
            .. (cipher == 0 and "any cipher" or name_of(CIPHERS, cipher))
        if step == 1 then
            return "handshake: allows " .. suite, true
        elseif size > 39 then
            tree:add(f.share, range(39))
            return ("handshake: chooses %s, share of %d bytes"):format(suite, size - 39), true
        end
        return "handshake: chooses " .. suite, true
    elseif stream.version == 2 and (step == 3 and stream.kex == RSA_SERVER
        or step == 4 and stream.kex == RSA_CLIENT) then
        tree:add(f.secret, range)
        return ("handshake: the secret, encrypted to the %s's key, %d bytes; records follow")
            :format(step == 3 and "server" or "client", size), true
    elseif stream.version == 2 and step == 3 then
        tree:add(f.share, range)
        return ("handshake: share of %d bytes%s")
            :format(size, stream.kex == RSA_CLIENT and "" or "; records follow"), true
    elseif stream.version == 5 and step == 1 and size == 6 + range(5, 1):uint() + 32 then
        tree:add(f.magic, range(0, 4))
        tree:add(f.version, range(4, 1))
        local n = range(5, 1):uint()
        tree:add(f.suites, range(5, 1))
        for i = 1, n do
            tree:add(f.suite, range(5 + i, 1))
        end
        tree:add(f.ephemeral, range(6 + n, 32))
        return ("handshake: offers %d suite%s, ephemeral key"):format(n, n == 1 and "" or "s"), true
    elseif stream.version == 5 and step == 2 and magic == "CHT5" and size == 6 + 32 + 48 + 16 then
        tree:add(f.magic, range(0, 4))
        tree:add(f.version, range(4, 1))
        tree:add(f.suite, range(5, 1))
        tree:add(f.ephemeral, range(6, 32))
        tree:add(f.static, range(38, 48))
        tree:add(f.noise_tag, range(86, 16))
        return "handshake: chooses " .. name_of(SUITES, range(5, 1):uint())
            .. ", ephemeral key, and the server's own key encrypted", true
    end
    return ("handshake: step %d, which cannot be read"):format(step), false
end

---------------------------------------------------------------------------------------------------
-- Records in the tree.

local CIPHER_OF = { [CFB] = "aes-256-cfb", [GCM] = "aes-256-gcm", [FERNET] = "fernet",
    [NOISE] = "Noise, aes-256-gcm" }

local function add_record(range, entry, tree)
    local cipher, size = entry.stream.cipher, range:len()
    tree:add(f.number, UInt64(entry.number)):set_generated()
    if CIPHER_OF[cipher] then
        tree:add(f.record_cipher, CIPHER_OF[cipher]):set_generated()
    end
    if cipher == CFB and size > 16 then
        tree:add(f.iv, range(0, 16))
        tree:add(f.ciphertext, range(16))
    elseif (cipher == GCM or cipher == NOISE) and size > 16 then
        local nonce = sub(words_string(0, counter_nonce(entry.number)), 5)
        tree:add(f.nonce, to_hex(nonce)):set_generated()
        tree:add(f.ciphertext, range(0, size - 16))
        tree:add(f.tag, range(size - 16, 16))
    elseif cipher == FERNET then
        local item = tree:add(f.token, range)
        local parts = fernet_parts(bytes_of(range))
        if parts then
            local tvb = ByteArray.new(parts.bytes, true):tvb("Fernet token")
            -- Until the year 2242; of what is more not every version can make a time.
            if tvb(1, 4):uint() < 2 then
                item:add(f.token_time, tvb(1, 8), NSTime.new(tvb(1, 8):uint64():tonumber()))
            end
            item:add(f.iv, tvb(9, 16))
            item:add(f.ciphertext, tvb(25, tvb:len() - 57))
            item:add(f.tag, tvb(tvb:len() - 32, 32))
        end
    else
        tree:add(f.ciphertext, range)
    end
end

-- What a record can have instead of a plaintext.
local PROBLEMS = {
    ["tag bad"] = { expert = ef.tag_bad, mark = "[TAG BAD] " },
    ["missing key"] = { expert = ef.missing_key, mark = "[MISSING KEY] " },
    ["bad record"] = { expert = ef.bad_record, mark = "[BAD RECORD] " },
}

local function dissect_record(range, entry, pinfo, tree)
    -- Keys may have come since the last time.
    if not entry.status or entry.status == "missing key" then
        open_record(entry, bytes_of(range))
    end
    add_record(range, entry, tree)
    local problem = PROBLEMS[entry.status]
    if problem then
        tree:add_proto_expert_info(problem.expert, problem.mark .. entry.why)
        return ("%sencrypted record, %d bytes"):format(problem.mark, range:len() + 5)
    end
    local tvb = ByteArray.new(entry.plain, true):tvb("Decrypted record")
    local kind = tvb(0, 1):uint()
    local branch = tree:add(tvb(), "Within the record, decrypted")
    branch:add(f.record_kind, tvb(0, 1))
    local body = tvb:len() > 1 and tvb(1) or nil
    local cipher = entry.stream.cipher
    local sentence, good = dissect_content(kind, body, entry, pinfo, branch)
    if kind == 0x12 and (cipher == CFB or cipher == FERNET) then
        good = false
    end
    entry.status = "decrypted"
    if good then
        return sentence
    elseif cipher == CFB then
        entry.status = "garbled"
        branch:add_proto_expert_info(ef.garbled, "[GARBLED] " .. sentence
            .. ": the record was changed on its way, or the key is another one; CFB cannot tell")
        return ("[GARBLED] encrypted record, %d bytes, in which there is no message")
            :format(range:len() + 5)
    end
    entry.status = "unreadable"
    branch:add_proto_expert_info(ef.unreadable, sentence)
    return sentence
end

---------------------------------------------------------------------------------------------------
-- Frames.

-- Of several frames in a segment the first ones have their sentences in the Info column.
local MOST_SENTENCES = 8

local function show(pinfo, who, what)
    shown.told = shown.told + 1
    if shown.told <= MOST_SENTENCES then
        if shown.who ~= who then
            shown.who, what = who, who .. what
        end
        shown.sentences[shown.told] = what
        shown.info = concat(shown.sentences, " | ")
    end
    local more = shown.told - #shown.sentences
    pinfo.cols.protocol:set("CHAT5")
    -- TCP fences off what the end of a frame said from what follows it in the segment.
    pinfo.cols.info:clear_fence()
    pinfo.cols.info:set(more > 0 and ("%s | and %d more"):format(shown.info, more) or shown.info)
end

-- What the order says of a frame, the first time that it is seen.
local function first_look(pinfo, kind, body)
    local from = endpoint(pinfo.src, pinfo.src_port)
    local to = endpoint(pinfo.dst, pinfo.dst_port)
    local stream = stream_of(pinfo, from, to, kind, body)
    local entry = { stream = stream, from_client = stream.client == from, client = "client" }
    entry.encrypted = stream.cipher ~= nil
    if kind == 0x20 then
        entry.step = handshake_step(stream, body)
    elseif kind == 0x21 then
        entry.number = stream.count[entry.from_client] or 0
        stream.count[entry.from_client] = entry.number + 1
    end
    return entry
end

local function take_apart(tvb, pinfo, tree)
    local size = tvb:len()
    local length = size >= 4 and tvb(0, 4):uint() or nil
    local kind = size > 4 and tvb(4, 1):uint() or nil
    local cut = size < tvb:reported_len() and (not length or length + 4 == tvb:reported_len())
    local is_frame = kind and length + 4 == tvb:reported_len()
    local place = pinfo.number .. ":" .. tvb:offset() .. ":" .. size
    begin_frame(pinfo, place)
    local entry = frames[place]
    if not entry then
        local body = size > 5 and tvb:raw(5) or ""
        entry = first_look(pinfo, is_frame and kind, body)
        frames[place] = entry
    end

    local inside = is_inside(pinfo)
    local item = tree:add(chat5, tvb())
    if length then
        item:add(f.length, tvb(0, 4))
    end
    local status, sentence, good
    local range = size > 5 and tvb(5) or nil
    if cut then
        status = "cut"
        sentence = length
            and ("a frame of %d bytes of which the capture has %d"):format(length + 4, size)
            or "a frame of which the capture has not even the length"
    elseif not is_frame then
        status = "bad length"
        sentence = ("[BAD LENGTH] a frame that says it has %d bytes"):format(length)
        item:add_proto_expert_info(ef.bad_length, sentence .. ", and 1 to 131072 are allowed")
    else
        item:add(f.kind, tvb(4, 1))
        item:append_text((", %s, %d bytes"):format(KINDS[kind] or "of an unknown kind", length + 4))
        if inside then
            item:append_text(", what was inside a record")
            sentence, good = dissect_content(kind, range, entry, pinfo, item)
            status = "inside"
        elseif kind == 0x21 and range then
            sentence = dissect_record(range, entry, pinfo, item)
            status = entry.status
        elseif kind == 0x21 then
            status, sentence = "bad record", "[BAD RECORD] encrypted record, 5 bytes"
            item:add_proto_expert_info(ef.bad_record, sentence)
        elseif kind == 0x20 and range then
            sentence, good = dissect_handshake(range, entry, item)
            status = "handshake"
        elseif kind >= 0x12 or entry.encrypted then
            sentence, good = ("a frame of the kind %02x outside of a record"):format(kind), false
        else
            sentence, good = dissect_content(kind, range, entry, pinfo, item)
            status = "plaintext"
        end
        if good == false then
            status = "unreadable"
            item:add_proto_expert_info(ef.unreadable, sentence)
        end
    end
    -- A sentence is the same however often it is read, also after names have become known.
    if not pinfo.visited then
        entry.client = entry.stream.name or "client"
    end
    local client = entry.client
    local from, to = "server", client
    if entry.from_client then
        from, to = client, "server"
    end
    local who = ("%s to %s: "):format(from, to)
    item:add(f.sender, entry.from_client and "client" or "server"):set_generated()
    if client ~= "client" then
        item:add(f.client, client):set_generated()
    end
    item:add(f.status, status):set_generated()
    item:add(f.sentence, who .. sentence):set_generated()
    show(pinfo, inside and "[inside] " .. who or who, sentence)
end

local function dissect_frame(tvb, pinfo, tree)
    -- An error that left this function would jump over what TCP has still to put in order.
    local good, problem = pcall(take_apart, tvb, pinfo, tree)
    if not good then
        tree:add_proto_expert_info(ef.unreadable, "Lua Error: " .. tostring(problem))
    end
    return tvb:len()
end

-- Where the last frame of the segment ends up to now.
local frames_end

local function frame_length(tvb, _, offset)
    local length = offset + 4 <= tvb:len() and tvb(offset, 4):uint()
    local size = 4 + (length or 0)
    if not length or length > MAX_LENGTH then
        -- The capture has not even the length; or nobody waits for that many. It is the rest of
        -- this segment.
        size = math.max(tvb:reported_len() - offset, 4)
    end
    frames_end = offset + size
    return size
end

-- Whether a segment could be the first one of a connection, or of what is left of it.
local function plausible(tvb, inside)
    if tvb:len() < 5 then
        return tvb:len() > 0 and tvb(0, 1):uint() == 0
    end
    local length, kind = tvb(0, 4):uint(), tvb(4, 1):uint()
    local bare, on_wire = contents[kind] ~= nil, KINDS[kind] ~= nil and kind < 0x30
    local known = inside and bare or not inside and on_wire
    -- The first frame of a login, where nobody knows yet which view it is in.
    return length >= 1 and length <= MAX_LENGTH
        and (known or inside == nil and kind == 0x30 and length == 2)
end

local function dissect(tvb, pinfo, tree)
    for _, comment in ipairs({ comments() }) do
        learn_keys(tostring(comment.value))
    end
    if not pinfo.visited and segments[pinfo.number] == nil then
        local from, to = endpoint(pinfo.src, pinfo.src_port), endpoint(pinfo.dst, pinfo.dst_port)
        segments[pinfo.number] = streams[pair_of(from, to)] ~= nil
            or plausible(tvb, is_inside(pinfo))
    end
    if not segments[pinfo.number] or tvb:len() == 0 then
        return 0
    end
    if tvb:len() == tvb:reported_len() then
        dissect_tcp_pdus(tvb, tree, 4, frame_length, dissect_frame)
        return tvb:len()
    end
    frames_end = nil
    -- It raises an error where the capture ends just before a frame, but not in every version.
    pcall(dissect_tcp_pdus, tvb, tree, 4, frame_length, dissect_frame)
    if frames_end == tvb:len() then
        local item = tree:add(chat5, tvb(tvb:len() - 1, 1))
        item:add(f.status, "cut"):set_generated()
        item:add(f.sentence, "a frame of which the capture has nothing"):set_generated()
    end
    return tvb:len()
end

chat5.dissector = dissect

-- Elsewhere than on the stages' own ports: a hello, a handshake or a message say what they are, and
-- what was inside records is nothing else's.
local function heuristic(tvb, pinfo, tree)
    local inside = is_inside(pinfo)
    if tvb:len() < 6 and not inside or not plausible(tvb, inside) then
        return false
    end
    local kind = tvb:len() > 4 and tvb(4, 1):uint() or nil
    local start = tvb:len() > 5 and tvb:raw(5, math.min(tvb:len() - 5, 40)) or ""
    if inside or kind == 0x30
        or kind == 0x20 and (start:find("^CHT2\1") or start:find("^CHT5\1"))
        or kind == 0x10 and start:find('^{%s*"type"%s*:%s*"[a-z-]') then
        pinfo.conversation = chat5
        -- Called as chat5.dissector it could not ask TCP for the rest of a frame.
        dissect(tvb, pinfo, tree)
        return true
    end
    return false
end

chat5:register_heuristic("tcp", heuristic)
for port = 7001, 7005 do
    DissectorTable.get("tcp.port"):add(port, chat5)
end

-- Comments of packets without payload are seen here. That there is a listener with a filter also
-- makes Wireshark build a tree more often, and without one tcp.stream and comments are nowhere.
local listener = Listener.new("frame", "frame.comment")
function listener.packet()
    for _, comment in ipairs({ comments() }) do
        learn_keys(tostring(comment.value))
    end
end

function chat5.init()
    forget_all()
    forget_packet()
end

local tested = false

function chat5.prefs_changed()
    if chat5.prefs.selftest and not tested then
        tested = true
        selftest()
    end
end

if os.getenv("CHAT5_SELFTEST") == "1" then
    tested = true
    selftest()
end
