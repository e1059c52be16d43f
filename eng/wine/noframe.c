/* What c10.dll asks of dbghelp.dll to name the frames of an exception's stack; here frames have no names. Wine's dbghelp
   breaks the heap when several threads throw. */

#include <windows.h>

BOOL SymInitialize(HANDLE process, const char *path, BOOL all) { return FALSE; }
BOOL SymCleanup(HANDLE process) { return TRUE; }
DWORD SymSetOptions(DWORD options) { return options; }
DWORD SymGetOptions(void) { return 0; }
BOOL SymFromAddr(HANDLE process, DWORD64 address, DWORD64 *distance, void *symbol) { return FALSE; }
BOOL SymGetLineFromAddr64(HANDLE process, DWORD64 address, DWORD *distance, void *line) { return FALSE; }
BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved) { return TRUE; }
