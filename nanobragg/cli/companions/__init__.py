"""The companions of nanoBragg with their own flags: noisify adds noise to an image, nonBragg makes amorphous scatter."""
