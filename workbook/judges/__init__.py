"""What each chapter is judged on: the inputs of its tasks, and what the contract leaves open. See `workbook.judge`."""
