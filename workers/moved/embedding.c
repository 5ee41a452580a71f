/* A program that embeds Python: runs the script that it is given, without telling Python where anything is. */

#include <Python.h>

int
main(int count, char **arguments)
{
    FILE *script = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (script == NULL) {
        return 2;
    }
    Py_Initialize();
    int failed = PyRun_SimpleFile(script, arguments[1]);
    fclose(script);
    return Py_FinalizeEx() < 0 || failed;
}
