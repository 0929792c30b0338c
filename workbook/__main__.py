"""`python -m workbook` is `workbook`."""

from workbook.cli import main

main()
