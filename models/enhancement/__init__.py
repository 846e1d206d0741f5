"""Face enhancement: repairs what coder, generator and interpolator did to a picture."""
