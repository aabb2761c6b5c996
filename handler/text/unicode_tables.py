#!/usr/bin/env python3
"""Writes unicode_classes.inc and unicode_nfc.inc from the utf8proc library of this machine.

Run it by hand to move to another version of Unicode; the build does not need it.
"""

import ctypes
import pathlib

LIBRARY = ctypes.CDLL("libutf8proc.so.2")
LIBRARY.utf8proc_category.argtypes = [ctypes.c_int32]
LIBRARY.utf8proc_unicode_version.restype = ctypes.c_char_p
LIBRARY.utf8proc_decompose_char.argtypes = [
    ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_ssize_t, ctypes.c_int,
    ctypes.POINTER(ctypes.c_int)]
LIBRARY.utf8proc_decompose_char.restype = ctypes.c_ssize_t
LIBRARY.utf8proc_get_property.restype = ctypes.POINTER(ctypes.c_uint16)
LIBRARY.utf8proc_get_property.argtypes = [ctypes.c_int32]

OTHER, LETTER, MARK, NUMBER, PUNCTUATION, SYMBOL, SPACE = 0, 1, 2, 4, 8, 16, 32
# utf8proc's categories in its own order: Cn, Lu..Lo, Mn..Me, Nd..No, Pc..Po, Sm..So, Zs.., Cc...
CLASS_OF_CATEGORY = ([OTHER] + [LETTER] * 5 + [MARK] * 3 + [NUMBER] * 3 + [PUNCTUATION] * 7 +
                     [SYMBOL] * 4 + [OTHER] * 7)
# The property White_Space, which is what \s means to the tokenizers.
WHITE_SPACE = ({*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
               | set(range(0x2000, 0x200B)))
HANGUL = range(0xAC00, 0xAC00 + 11172)


def class_of(code_point):
    if code_point in WHITE_SPACE:
        return SPACE
    return CLASS_OF_CATEGORY[LIBRARY.utf8proc_category(code_point)]


def ranges(value_of):
    starts = []
    last = None
    for code_point in range(0x110000):
        value = value_of(code_point)
        if value != last:
            starts.append((code_point, value))
            last = value
    return starts


def full_decomposition(code_point):
    buffer = (ctypes.c_int32 * 8)()
    boundary = ctypes.c_int(0)
    stable_decompose = (1 << 1) | (1 << 4)
    count = LIBRARY.utf8proc_decompose_char(code_point, buffer, 8, stable_decompose,
                                            ctypes.byref(boundary))
    return list(buffer[:count])


def combining_class(code_point):
    return LIBRARY.utf8proc_get_property(code_point)[1]  # the second 16-bit field




def write(path, head, rows):
    lines, line = [], ""
    for row in rows:
        if len(line) + len(row) + 1 > 100:
            lines.append(line.rstrip())
            line = ""
        line += row + " "
    lines.append(line.rstrip())
    path.write_text(head + "\n".join(lines) + "\n")


def main():
    folder = pathlib.Path(__file__).parent
    version = LIBRARY.utf8proc_unicode_version().decode()
    head = f"// Unicode {version}, written by unicode_tables.py: do not edit.\n"
    write(folder / "unicode_classes.inc",
          head + "// {first code point, class} of each run, ascending.\n",
          [f"{{0x{start:X}, {value}}}," for start, value in ranges(class_of)])

    surrogates = range(0xD800, 0xE000)
    full = {c: full_decomposition(c) for c in range(0x110000)
            if c not in HANGUL and c not in surrogates}
    full = {c: d for c, d in full.items() if d != [c]}
    write(folder / "unicode_decompositions.inc",
          head + "// {code point, its full canonical decomposition}, ascending; Hangul apart.\n",
          [f"{{0x{c:X}, {{{', '.join(f'0x{x:X}' for x in d)}}}}}," for c, d in full.items()])

    # A primary composite is what NFC of its full decomposition gives back.
    utf8proc_map = LIBRARY.utf8proc_NFC
    utf8proc_map.restype = ctypes.c_void_p
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]

    def nfc(text):
        pointer = utf8proc_map(text.encode())
        result = ctypes.string_at(pointer).decode()
        free(pointer)
        return result

    pairs = []
    for c, d in full.items():
        if nfc(chr(c)) != chr(c):
            continue  # a singleton or an excluded composite
        first = nfc("".join(map(chr, d[:-1])))
        assert len(first) == 1, hex(c)
        pairs.append((ord(first), d[-1], c))
    write(folder / "unicode_compositions.inc",
          head + "// {first, second, composite}, ascending by first, then second; Hangul apart.\n",
          [f"{{0x{a:X}, 0x{b:X}, 0x{c:X}}}," for a, b, c in sorted(pairs)])
    write(folder / "unicode_combining.inc",
          head + "// {first code point, canonical combining class} of each run, ascending.\n",
          [f"{{0x{start:X}, {value}}}," for start, value in ranges(combining_class)])


main()
