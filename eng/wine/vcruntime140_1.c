/* A frame handler of C++ for Wine, between torch and Wine's own (vcruntime140_1_wine.dll).

   torch throws in one library, whose frames have this handler, and LibTorchSharp catches in another, which brings a C++
   runtime of its own. Wine's handler knows only catches of its own runtime: while the stack is unwound to another's it
   passes over frames without calling their destructors, and the guards of torch's thread (no gradients, no versions)
   stay for whatever the thread does next. Windows calls them. So an unwinding for somebody else's catch is shown to Wine's
   handler as one of a C++ exception, which it does unwind. */

#include <windows.h>

typedef EXCEPTION_DISPOSITION (*frame_handler)(EXCEPTION_RECORD *, void *, CONTEXT *, void *);

#define CXX_EXCEPTION 0xe06d7363
#define UNWIND_CONSOLIDATE 0x80000029
#define UNWINDING 0x6
#define TARGET_UNWIND 0x20

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

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved)
{
    if (reason == DLL_PROCESS_ATTACH)
        handler_of_wine = (frame_handler)GetProcAddress(LoadLibraryA("vcruntime140_1_wine.dll"), "__CxxFrameHandler4");

    return handler_of_wine != NULL;
}
