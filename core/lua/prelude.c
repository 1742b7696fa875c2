// The text of prelude.lua, ended by a zero byte, as the assembler takes it from the file.
#include "lua/sandbox.h"

__asm__(".section .rodata\n"
        ".global lua_prelude\n"
        "lua_prelude:\n"
        ".incbin \"" INTENTD_ROOT "/core/lua/prelude.lua\"\n"
        ".byte 0\n"
        ".previous\n");
