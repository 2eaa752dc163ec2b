package main

// modelsDir is the folder of the registry within a data directory.
const modelsDir = "models"
