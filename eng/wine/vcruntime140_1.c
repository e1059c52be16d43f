/* Exceptions of C++ under Wine as under Windows, where libraries with C++ runtimes of their own meet: torch throws in one,
   LibTorchSharp catches in another. This library stands between torch and Wine's vcruntime140_1.dll, here renamed, and mends
   three things of Wine 8.

   1. While the stack is unwound to a catch of another runtime, Wine's frame handler passes over frames without calling their
      destructors, and the guards of torch's thread (no gradients, no versions) stay for whatever the thread does next. So
      such an unwinding is shown to it as one of a C++ exception, which it does unwind.
   2. std::rethrow_exception throws the very object that the exception_ptr holds, and so both destroy it: the catch and the
      pointer. Each failed backward frees memory twice. Here a copy is thrown, as Windows does.
   3. torch asks dbghelp.dll for the names of an exception's frames. Wine's breaks when several threads ask, so that here
      frames have no names. */

#include <windows.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define CXX_EXCEPTION 0xe06d7363
#define UNWIND_CONSOLIDATE 0x80000029
#define UNWINDING 0x6
#define TARGET_UNWIND 0x20

typedef EXCEPTION_DISPOSITION (*frame_handler)(EXCEPTION_RECORD *, void *, CONTEXT *, void *);

static frame_handler handler_of_wine;

EXCEPTION_DISPOSITION __CxxFrameHandler4(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatch)
{
    EXCEPTION_RECORD shown = *record;

    if (record->ExceptionCode != UNWIND_CONSOLIDATE || !(record->ExceptionFlags & UNWINDING)
        || (record->ExceptionFlags & TARGET_UNWIND))
        return handler_of_wine(record, frame, context, dispatch);

    shown.ExceptionCode = CXX_EXCEPTION;
    return handler_of_wine(&shown, frame, context, dispatch);
}

/* What a compiler for Windows writes down about a type that is thrown; addresses are relative to the library's. */

struct thrown
{
    UINT flags, destructor, handler, types;
};

struct type
{
    UINT flags, info;
    int offsets[3];
    UINT size, copy;
};

#define HAS_VIRTUAL_BASE 4

struct exception_ptr
{
    EXCEPTION_RECORD *record;
    int *count;
};

static void rethrow(const struct exception_ptr *held)
{
    EXCEPTION_RECORD *record = held->record;
    ULONG_PTR arguments[EXCEPTION_MAXIMUM_PARAMETERS];

    if (!record)
        abort(); /* no exception, which no program may throw again */

    memcpy(arguments, record->ExceptionInformation, sizeof arguments);

    if (record->ExceptionCode == CXX_EXCEPTION && record->NumberParameters == 4)
    {
        char *base = (char *)arguments[3];
        struct thrown *thrown = (struct thrown *)arguments[2];
        UINT *types = (UINT *)(base + thrown->types); /* their number, then the types, the object's own first */
        struct type *type = (struct type *)(base + types[1]);
        void *source = (void *)arguments[1], *object = _alloca(type->size);

        if (!type->copy)
            memcpy(object, source, type->size);
        else if (type->flags & HAS_VIRTUAL_BASE)
            ((void (*)(void *, void *, int))(base + type->copy))(object, source, 1);
        else
            ((void (*)(void *, void *))(base + type->copy))(object, source);

        arguments[1] = (ULONG_PTR)object;
    }

    RaiseException(record->ExceptionCode, record->ExceptionFlags & ~UNWINDING, record->NumberParameters, arguments);
}

static BOOL no_name(void)
{
    return FALSE;
}

/* Writes "go to with" over the beginning of a function. */
static BOOL replace(void *function, void *with)
{
    unsigned char jump[] = { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0 }; /* mov rax, with; jmp rax */
    DWORD old;

    memcpy(jump + 2, &with, sizeof with);

    if (!function || !VirtualProtect(function, sizeof jump, PAGE_EXECUTE_READWRITE, &old))
        return FALSE;

    memcpy(function, jump, sizeof jump);
    return VirtualProtect(function, sizeof jump, old, &old);
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved)
{
    if (reason != DLL_PROCESS_ATTACH)
        return TRUE;

    handler_of_wine = (frame_handler)GetProcAddress(LoadLibraryA("vcruntime140_1_wine.dll"), "__CxxFrameHandler4");
    void *rethrow_of_wine = GetProcAddress(LoadLibraryA("msvcp140.dll"), "?__ExceptionPtrRethrow@@YAXPEBX@Z");
    HMODULE dbghelp = LoadLibraryA("dbghelp.dll");

    return handler_of_wine && replace(rethrow_of_wine, rethrow) && replace(GetProcAddress(dbghelp, "SymInitialize"), no_name)
        && replace(GetProcAddress(dbghelp, "SymFromAddr"), no_name)
        && replace(GetProcAddress(dbghelp, "SymGetLineFromAddr64"), no_name);
}
