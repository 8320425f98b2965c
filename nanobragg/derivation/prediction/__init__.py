"""Where the reflections of a Scene lie and how many photons they give, in closed form: no pixel is rendered here."""
