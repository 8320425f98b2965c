"""From a decided experiment to the Scene: resolve, place, orient, derive. Knows the config objects and no engine."""
