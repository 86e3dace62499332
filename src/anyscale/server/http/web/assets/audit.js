// A log of many entries is checked in slices. Each page sends the form for the next one.
document.getElementById("go-on").requestSubmit();
