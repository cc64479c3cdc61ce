"""What chapters show: records and their cards, figures, quizzes, exercises, the set-up."""
