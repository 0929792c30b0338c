"""The commands of `workbook`, each in a file of its own.

    status.py               where you are: `workbook` alone
    test.py watch.py        run the tests: once, or on each save
    hint.py diff.py         help before it is green, and a comparison after
    reset.py catch_up.py    a skeleton back, chapters filled
    serve.py look.py        your scheduler, and what is going on in one
    doctor.py               whether this machine can run all of it

Heavy modules are imported where they are used, so that a command which runs no test answers at once.
"""
